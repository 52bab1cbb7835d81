use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::*;
use crate::audit::model::leaf_hash;

/// RFC 6962 §2.1, word for word.
fn naive(leaves: &[[u8; 32]]) -> [u8; 32] {
    match leaves {
        [] => Sha256::digest(b"").into(),
        [leaf] => *leaf,
        _ => {
            let half = leaves.len().next_power_of_two() / 2;
            let mut node = Sha256::new_with_prefix([1]);
            node.update(naive(&leaves[..half]));
            node.update(naive(&leaves[half..]));
            node.finalize().into()
        }
    }
}

fn leaf(number: u64) -> Leaf {
    let position = Position { transaction: number / 3, sequence: i64::try_from(number).unwrap() };
    Leaf { position, hash: leaf_hash(&number.to_be_bytes()) }
}

#[test]
fn every_root_is_that_of_rfc_6962() {
    let (mut edge, mut complete, mut leaves) = (Edge::default(), Vec::new(), Vec::new());
    for number in 0..=1_100 {
        assert_eq!(edge.root().unwrap(), naive(&leaves), "{number} leaves");
        edge.append(&leaf(number), &mut complete);
        leaves.push(leaf(number).hash);
    }
    assert_eq!(complete.len(), 4);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However the leaves come, in however many passes: the same tiles, the same root, and the same as
    /// by the book.
    #[test]
    fn passes_of_any_length_make_the_same_log(steps in prop::collection::vec(1_u64..2_000, 1..8)) {
        let total: u64 = steps.iter().sum();
        let (mut at_once, mut all) = (Edge::default(), Vec::new());
        (0..total).for_each(|number| at_once.append(&leaf(number), &mut all));
        let (mut kept, mut tiles, mut size) = (Vec::new(), Vec::new(), 0);
        for step in steps {
            let mut edge = Edge::read(size, &kept).unwrap();
            (size..size + step).for_each(|number| edge.append(&leaf(number), &mut tiles));
            size += step;
            kept = edge.bytes();
            prop_assert_eq!(Edge::read(size, &kept).unwrap(), edge);
        }
        prop_assert_eq!(&tiles, &all);
        prop_assert_eq!(&Edge::read(size, &kept).unwrap(), &at_once);
        let leaves: Vec<_> = (0..total).map(|number| leaf(number).hash).collect();
        prop_assert_eq!(at_once.root().unwrap(), naive(&leaves));
        for tile in all.iter().filter(|tile| tile.level == 0) {
            let first = usize::try_from(tile.index).unwrap() * TILE_HASHES;
            prop_assert_eq!(&tile.hashes, &leaves[first..first + TILE_HASHES].concat());
            prop_assert_eq!(tile.last, leaf(tile.index * 256 + 255).position);
        }
    }
}

#[test]
fn the_tiles_of_the_second_level_hold_the_roots_of_those_below() {
    let (mut edge, mut complete) = (Edge::default(), Vec::new());
    (0..70_000).for_each(|number| edge.append(&leaf(number), &mut complete));
    let level = |level| complete.iter().filter(move |tile| tile.level == level);
    assert_eq!((level(0).count(), level(1).count()), (273, 1));
    let roots: Vec<u8> = level(0)
        .take(256)
        .flat_map(|tile| {
            let leaves: Vec<[u8; 32]> =
                tile.hashes.chunks(32).map(|hash| hash.try_into().unwrap()).collect();
            naive(&leaves)
        })
        .collect();
    assert_eq!(level(1).next().unwrap().hashes, roots);
}

#[test]
fn bytes_that_are_no_edge_of_this_size_are_refused() {
    let (mut edge, mut complete) = (Edge::default(), Vec::new());
    (0..300).for_each(|number| edge.append(&leaf(number), &mut complete));
    let bytes = edge.bytes();
    assert_eq!(bytes.len(), (300 - 256 + 1) * 32);
    for size in [0, 299, 301, 556] {
        assert_eq!(Edge::read(size, &bytes), Err(BrokenLog::Edge(size)));
    }
    assert_eq!(Edge::read(300, &bytes[1..]), Err(BrokenLog::Edge(300)));
}
