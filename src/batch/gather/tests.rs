use futures::future::join_all;
use tokio::sync::Semaphore;

use super::*;

/// Reads even numbers as their halves; there is nothing for odd ones. Counts its reads.
struct Halves {
    gather: Gather<u32, u32>,
    reads: Arc<Mutex<Vec<usize>>>,
    /// Lets one read pass for each permit.
    gate: Arc<Semaphore>,
}

impl Halves {
    fn new(permits: usize, error: Option<Error>) -> Self {
        let reads: Arc<Mutex<Vec<usize>>> = Arc::default();
        let gate = Arc::new(Semaphore::new(permits));
        let (counted, passing) = (reads.clone(), gate.clone());
        let reader = Reader(Arc::new(move |keys: Vec<u32>| {
            let (passing, error) = (passing.clone(), error.clone());
            lock(&counted).push(keys.len());
            async move {
                passing.acquire().await.unwrap().forget();
                let half = |key: u32| key.is_multiple_of(2).then_some(key / 2);
                keys.into_iter()
                    .map(|key| (key, error.clone().map_or(Ok(half(key)), Err)))
                    .collect()
            }
            .boxed()
        }));
        Self { gather: Gather::new(reader), reads, gate }
    }

    async fn load(&self, key: u32, changes: u64) -> Loaded<u32> {
        self.gather.load(key, changes).await
    }

    fn reads(&self) -> Vec<usize> {
        lock(&self.reads).clone()
    }
}

#[tokio::test]
async fn keys_that_are_asked_for_together_are_read_together_and_once() {
    let halves = Halves::new(9, None);
    let keys: Vec<u32> = (0..5_000).chain(0..5_000).collect();
    let found = join_all(keys.iter().map(|key| halves.load(*key, 0))).await;
    for (key, found) in keys.iter().zip(found) {
        assert_eq!(found.unwrap(), (key % 2 == 0).then_some(key / 2));
    }
    assert_eq!(halves.load(4, 0).await.unwrap(), Some(2));
    assert_eq!(halves.reads(), [5_000]);
}

/// What the waiters of one batch go on to ask for is one batch again.
#[tokio::test]
async fn what_follows_from_a_batch_is_one_batch() {
    let halves = Halves::new(9, None);
    let halves = &halves;
    let chains = (1..=3_000_u32).map(|number| async move {
        let half = halves.load(number * 4, 0).await.unwrap().unwrap();
        halves.load(half + 1_000_000, 0).await.unwrap()
    });
    let found = join_all(chains).await;
    assert!(found.iter().all(Option::is_some));
    assert_eq!(halves.reads(), [3_000, 3_000]);
}

#[tokio::test]
async fn more_keys_than_a_statement_may_have_are_several() {
    let halves = Halves::new(9, None);
    let keys = 0..u32::try_from(2 * MAX_BATCH + 1).unwrap();
    let found = join_all(keys.map(|key| halves.load(key, 0))).await;
    assert!(found.iter().all(Result::is_ok));
    assert_eq!(halves.reads(), [MAX_BATCH, MAX_BATCH, 1]);
}

/// Of those who wait for a batch, the one that drives it may go away at any point.
#[tokio::test]
async fn a_waiter_that_goes_away_takes_nothing_with_it() {
    for polls in 1..6 {
        let halves = Halves::new(0, None);
        let mut first = Box::pin(halves.load(2, 0));
        let mut second = Box::pin(halves.load(4, 0));
        for _ in 0..polls {
            assert!(futures::poll!(&mut first).is_pending());
            yield_now().await;
        }
        if polls == 1 {
            assert!(futures::poll!(&mut second).is_pending());
        }
        drop(first);
        halves.gate.add_permits(2);
        assert_eq!(second.await.unwrap(), Some(2), "after {polls} polls");
        assert_eq!(halves.load(2, 0).await.unwrap(), Some(1), "after {polls} polls");
    }
}

#[tokio::test]
async fn every_waiter_of_a_batch_that_fails_has_its_error() {
    let halves = Halves::new(9, Some(Error::NotFound("number")));
    let found = join_all((0..10).map(|key| halves.load(key, 0))).await;
    assert!(found.iter().all(|found| matches!(found, Err(Error::NotFound("number")))));
    assert_eq!(halves.reads(), [10]);
}

#[tokio::test]
async fn a_change_makes_everything_be_read_again() {
    let halves = Halves::new(9, None);
    for changes in [0, 0, 1, 1, 2] {
        halves.load(2, changes).await.unwrap();
    }
    assert_eq!(halves.reads(), [1, 1, 1]);
    // Even what is under way when the change comes.
    let old = halves.load(6, 2);
    let mut old = Box::pin(old);
    assert!(futures::poll!(&mut old).is_pending());
    let new = halves.load(6, 3).await.unwrap();
    assert_eq!((old.await.unwrap(), new), (Some(3), Some(3)));
    assert_eq!(halves.reads().len(), 5);
}
