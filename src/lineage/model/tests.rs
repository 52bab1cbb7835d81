use chrono::TimeDelta;
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::freshness::model::Basis;

fn id(number: u8) -> Uuid {
    Uuid::from_u128(u128::from(number) + 1)
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

fn edge(up: u8, down: u8, run: u8, first: i64, last: i64) -> Edge {
    Edge {
        upstream_id: id(up),
        downstream_id: id(down),
        job_namespace: "jobs".to_owned(),
        job_name: format!("job-{run}"),
        last_run_id: id(run),
        first_seen_at: at(first),
        last_seen_at: at(last),
    }
}

type Pairs = Vec<(u8, u8)>;

fn pairs() -> impl Strategy<Value = Pairs> {
    vec((0..6_u8, 0..6_u8), 0..14)
}

/// Distances by relaxing every edge until nothing changes.
fn distances(pairs: &Pairs, start: u8) -> BTreeMap<u8, u32> {
    let mut known = BTreeMap::from([(start, 0)]);
    for _ in 0..8 {
        for (from, to) in pairs {
            if let Some(distance) = known.get(from).map(|distance| distance + 1) {
                let entry = known.entry(*to).or_insert(distance);
                *entry = distance.min(*entry);
            }
        }
    }
    known.remove(&start);
    known
}

fn walk(pairs: &Pairs, start: u8, depth: u32, room: usize) -> (Vec<Reached<()>>, bool) {
    let mut walk = Walk::new(id(start), room);
    for _ in 0..depth {
        if walk.level().is_empty() {
            break;
        }
        let steps = pairs.iter().map(|(from, to)| Step { from: id(*from), to: id(*to), edge: () });
        walk.advance(steps);
    }
    walk.end()
}

proptest! {
    #[test]
    fn edges_are_the_same_in_any_order(
        (edges, shuffled) in vec((0..3_u8, 0..3_u8, 0..3_u8, 0..4_i64, 0..4_i64), 0..12)
            .prop_flat_map(|edges| (Just(edges.clone()), Just(edges).prop_shuffle())),
    ) {
        let all = |told: &[(u8, u8, u8, i64, i64)]| {
            let mut edges = Edges::default();
            for (up, down, run, first, length) in told {
                prop_assert!(edges.add(edge(*up, *down, *run, *first, first + length), 100));
            }
            Ok(edges.all().cloned().collect::<Vec<_>>())
        };
        let told = all(&edges)?;
        prop_assert_eq!(&told, &all(&shuffled)?);
        for edge in &told {
            prop_assert_ne!(edge.upstream_id, edge.downstream_id);
        }
    }

    #[test]
    fn a_walk_reaches_what_there_is_by_the_shortest_way(
        pairs in pairs(), start in 0..6_u8, depth in 1..5_u32,
    ) {
        let (reached, truncated) = walk(&pairs, start, depth, 100);
        let expected: BTreeMap<_, _> = distances(&pairs, start)
            .into_iter()
            .filter(|(_, distance)| *distance <= depth)
            .map(|(to, distance)| (id(to), distance))
            .collect();
        let got: BTreeMap<_, _> =
            reached.iter().map(|reached| (reached.step.to, reached.distance)).collect();
        prop_assert_eq!(got.len(), reached.len(), "each once");
        prop_assert_eq!(got, expected);
        prop_assert!(!truncated);
    }

    #[test]
    fn a_walk_ends_where_its_room_does(pairs in pairs(), start in 0..6_u8, room in 0..4_usize) {
        let (all, _) = walk(&pairs, start, 10, 100);
        let (some, truncated) = walk(&pairs, start, 10, room);
        prop_assert_eq!(&some[..], &all[..room.min(all.len())]);
        if all.len() > room {
            prop_assert!(truncated);
        }
    }

    /// What the words say, asked of every dataset: late, upstream over late ones, and nothing late
    /// above it that is not in a circle with it.
    #[test]
    fn root_causes_are_what_has_nothing_late_above_it(
        pairs in pairs(), late in vec(any::<bool>(), 6), start in 0..6_u8,
    ) {
        let graph = graph(&pairs, &late);
        let now = at(1_000);
        let (causes, truncated) = graph.root_causes(id(start), now);
        prop_assert!(!truncated);
        let is_late = |number: u8| late[usize::from(number)];
        let through: Pairs =
            pairs.iter().copied().filter(|(down, up)| is_late(*down) && is_late(*up)).collect();
        let above = |of: u8| distances(&through, of);
        if !is_late(start) {
            prop_assert!(causes.is_empty());
            return Ok(());
        }
        let reach = above(start);
        let ends: Vec<u8> = reach
            .keys()
            .copied()
            .filter(|number| above(*number).keys().all(|up| above(*up).contains_key(number)))
            .collect();
        // One of each circle, the first by number (all are late since the same instant).
        let mut expected: Vec<u8> = ends
            .iter()
            .map(|end| above(*end).keys().copied().chain([*end]).min().unwrap())
            .filter(|number| *number != start)
            .collect();
        expected.sort_unstable();
        expected.dedup();
        let mut named: Vec<_> = causes.iter().map(|cause| cause.dataset_id).collect();
        named.sort_unstable();
        prop_assert_eq!(named, expected.into_iter().map(id).collect::<Vec<_>>());
        for cause in &causes {
            prop_assert_eq!(cause.path.first(), Some(&id(start)));
            prop_assert_eq!(cause.path.last(), Some(&cause.dataset_id));
            for step in cause.path.windows(2) {
                prop_assert!(through.iter().any(|(down, up)| [id(*down), id(*up)] == step));
            }
        }
    }
}

fn standing(number: u8, late: bool) -> Standing {
    Standing {
        dataset_id: id(number),
        name: format!("table_{number}"),
        basis: Basis::Timed,
        warn_at: at(if late { 500 } else { 5_000 }),
        stale_at: at(if late { 900 } else { 6_000 }),
        consecutive_failures: 0,
        last_failure_at: None,
        running_since: None,
    }
}

/// Pairs are (downstream, upstream).
fn graph(pairs: &Pairs, late: &[bool]) -> LateGraph {
    let mut graph = LateGraph::default();
    for (number, late) in (0..).zip(late) {
        if *late {
            graph.late.insert(id(number), standing(number, true));
        }
    }
    for (down, up) in pairs {
        graph.upstreams.entry(id(*down)).or_default().push(id(*up));
    }
    graph
}

#[test]
fn there_is_no_room_for_more_edges_than_said() {
    let mut edges = Edges::default();
    assert!(edges.add(edge(0, 1, 0, 0, 1), 1));
    assert!(!edges.add(edge(0, 2, 0, 0, 1), 1));
    assert!(edges.add(edge(0, 1, 1, 0, 2), 1), "a known one takes no room");
    assert!(edges.add(edge(3, 3, 1, 0, 2), 1), "nor does one to itself, which is none");
    assert_eq!(edges.all().cloned().collect::<Vec<_>>(), [edge(0, 1, 1, 0, 2)]);
}

#[test]
fn trouble_is_named_at_its_boundaries_and_in_plain_words() {
    let fine = standing(0, false);
    let tick = TimeDelta::microseconds(1);
    assert_eq!(fine.trouble(at(5_000)), None);
    assert_eq!(fine.trouble(at(5_000) + tick), Some(Trouble::Warn(at(5_000) + tick)));
    assert_eq!(fine.trouble(at(6_000)), Some(Trouble::Warn(at(5_000) + tick)));
    assert_eq!(fine.trouble(at(6_000) + tick), Some(Trouble::Stale(at(6_000) + tick)));
    let failed = Standing {
        consecutive_failures: 2,
        last_failure_at: Some(at(7)),
        basis: Basis::NotApplicable,
        ..fine.clone()
    };
    assert_eq!(failed.trouble(at(9_999)), Some(Trouble::Failed(Some(at(7)))));
    let never = Standing { basis: Basis::Unknown, ..fine };
    assert_eq!(never.trouble(at(0)), Some(Trouble::NeverSucceeded));

    let mut graph = graph(&vec![(0, 1), (1, 2)], &[true, true, true]);
    let sentence = |graph: &LateGraph| graph.root_causes(id(0), at(1_000)).0[0].sentence.clone();
    let since = "stale because table_2 is stale since 2023-11-14T22:28:20Z: ";
    assert_eq!(sentence(&graph), format!("{since}no run has come since"));
    let root = graph.late.get_mut(&id(2)).unwrap();
    (root.consecutive_failures, root.last_failure_at) = (1, Some(at(950)));
    assert_eq!(sentence(&graph), format!("{since}its last run failed at 2023-11-14T22:29:10Z"));
    graph.late.get_mut(&id(2)).unwrap().running_since = Some(at(960));
    let running = format!("{since}it is being refreshed since 2023-11-14T22:29:20Z");
    assert_eq!(sentence(&graph), running);
}
