//! What is refused before its time: tokens, subjects, tenants, signing keys (D40, D50).
//!
//! The list is asked on every use of a token, cached or not, so a revocation holds from the moment
//! it is here. It is the list of one process; [`RevocationList::revoke`] is its only entrance, and
//! the place for whatever will carry revocations between instances to deliver them.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use chrono::{DateTime, Utc};

use super::principal::{Principal, TenantId};
use crate::clock::SharedClock;

/// Something whose tokens are refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Revocation {
    /// One token, by the SHA-256 of its text ([`Principal::token_hash`]).
    Token([u8; 32]),
    /// One token, by its `jti`.
    TokenId(Arc<str>),
    /// Every token of one actor ([`Principal::actor`]: the subject, or its pseudonym) in a tenant.
    Subject(TenantId, Arc<str>),
    /// Every token of a tenant.
    Tenant(TenantId),
    /// Every token signed with a key ([`Principal::key_id`]).
    Key(Arc<str>),
}

/// The list is full of revocations that still hold; none is forgotten to make room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the revocation list is full ({capacity} entries)")]
pub struct RevocationListFull {
    /// How many entries it can hold.
    pub capacity: usize,
}

/// The revocations that hold in this process.
#[derive(Debug)]
pub struct RevocationList {
    clock: SharedClock,
    capacity: usize,
    /// Until when each one holds; `None` is for good.
    entries: RwLock<HashMap<Revocation, Option<DateTime<Utc>>>>,
}

impl RevocationList {
    /// An empty list for at most `capacity` entries.
    #[must_use]
    pub fn new(clock: SharedClock, capacity: usize) -> Self {
        Self { clock, capacity, entries: RwLock::default() }
    }

    /// Refuses it from now on, until the given instant (`None`: for good). A token needs no more
    /// than its `exp` and the verifier's leeway. Of two revocations of the same thing, the longer
    /// one holds.
    ///
    /// # Errors
    /// [`RevocationListFull`] when there is no room, even without what has ended.
    pub fn revoke(
        &self,
        revocation: Revocation,
        until: Option<DateTime<Utc>>,
    ) -> Result<(), RevocationListFull> {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = entries.get_mut(&revocation) {
            *held = held.zip(until).map(|(held, until)| held.max(until));
            return Ok(());
        }
        if entries.len() >= self.capacity {
            let now = self.clock.now();
            entries.retain(|_, until| until.is_none_or(|until| now < until));
        }
        if entries.len() >= self.capacity {
            return Err(RevocationListFull { capacity: self.capacity });
        }
        entries.insert(revocation, until);
        Ok(())
    }

    /// Whether anything about this caller's token is revoked.
    #[must_use]
    pub fn is_revoked(&self, principal: &Principal) -> bool {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        if entries.is_empty() {
            return false;
        }
        let now = self.clock.now();
        let holds = |revocation: &Revocation| {
            entries.get(revocation).is_some_and(|until| until.is_none_or(|until| now < until))
        };
        let token_id = principal.token_id.clone().map(Revocation::TokenId);
        holds(&Revocation::Token(principal.token_hash))
            || token_id.as_ref().is_some_and(holds)
            || holds(&Revocation::Subject(principal.tenant.clone(), principal.actor.clone()))
            || holds(&Revocation::Tenant(principal.tenant.clone()))
            || holds(&Revocation::Key(principal.key_id.clone()))
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::{
        auth::{
            TokenKind,
            policy::{Role, ScopeSet},
        },
        clock::{Clock, ManualClock},
    };

    fn principal(clock: &ManualClock) -> Principal {
        Principal {
            tenant: TenantId::parse("acme").unwrap(),
            actor: "svc".into(),
            role: Role::Reader,
            scopes: ScopeSet::default(),
            kind: TokenKind::User,
            reach: crate::auth::Reach::Tenant,
            token_hash: [7; 32],
            token_id: Some("jti-1".into()),
            nonce: None,
            key_id: "key-1".into(),
            expires_at: clock.now(),
        }
    }

    // D40
    #[test]
    fn each_kind_of_revocation_meets_its_tokens_and_no_others() {
        let clock = Arc::new(ManualClock::default());
        let caller = principal(&clock);
        let tenant = |code| TenantId::parse(code).unwrap();
        let cases = [
            (Revocation::Token([7; 32]), true),
            (Revocation::Token([8; 32]), false),
            (Revocation::TokenId("jti-1".into()), true),
            (Revocation::TokenId("jti-2".into()), false),
            (Revocation::Subject(tenant("acme"), "svc".into()), true),
            (Revocation::Subject(tenant("acme"), "other".into()), false),
            (Revocation::Subject(tenant("globex"), "svc".into()), false),
            (Revocation::Tenant(tenant("acme")), true),
            (Revocation::Tenant(tenant("globex")), false),
            (Revocation::Key("key-1".into()), true),
            (Revocation::Key("key-2".into()), false),
        ];
        for (revocation, meets) in cases {
            let list = RevocationList::new(clock.clone(), 10);
            assert!(!list.is_revoked(&caller));
            list.revoke(revocation.clone(), None).unwrap();
            assert_eq!(list.is_revoked(&caller), meets, "{revocation:?}");
        }
    }

    #[test]
    fn revocations_end_when_they_say_and_the_longer_one_holds() {
        let clock = Arc::new(ManualClock::default());
        let caller = principal(&clock);
        let list = RevocationList::new(clock.clone(), 10);
        let after = |seconds| Some(clock.now() + TimeDelta::seconds(seconds));
        let (short, long) = (after(10), after(20));
        list.revoke(Revocation::Key("key-1".into()), long).unwrap();
        list.revoke(Revocation::Key("key-1".into()), short).unwrap();
        clock.advance(TimeDelta::seconds(19));
        assert!(list.is_revoked(&caller));
        clock.advance(TimeDelta::seconds(1));
        assert!(!list.is_revoked(&caller));
        list.revoke(Revocation::Key("key-1".into()), None).unwrap();
        list.revoke(Revocation::Key("key-1".into()), short).unwrap();
        clock.advance(TimeDelta::days(10_000));
        assert!(list.is_revoked(&caller), "for good is longest");
    }

    #[test]
    fn a_full_list_forgets_only_what_has_ended() {
        let clock = Arc::new(ManualClock::default());
        let list = RevocationList::new(clock.clone(), 2);
        list.revoke(Revocation::Token([7; 32]), None).unwrap();
        list.revoke(Revocation::Token([1; 32]), Some(clock.now() + TimeDelta::seconds(1))).unwrap();
        let another = Revocation::Token([2; 32]);
        assert_eq!(list.revoke(another.clone(), None), Err(RevocationListFull { capacity: 2 }));
        clock.advance(TimeDelta::seconds(1));
        list.revoke(another, None).unwrap();
        assert!(list.is_revoked(&principal(&clock)));
    }
}
