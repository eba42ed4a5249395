//! Accounts by the names that clients register with.

use wacore_binary::builder::NodeBuilder;

use super::super::test_network::{BOB, TestNetwork};
use crate::wire;

#[test]
fn same_name_is_the_same_account_with_the_next_device() {
    let mut test = TestNetwork::new();
    let (first, second, other) = (test.link_by_name("ann_6f1"), test.link_by_name("ann_6f1"), test.link_by_name("bob_2c"));
    assert_eq!(first.key.number, second.key.number);
    assert_eq!((first.key.device, second.key.device), (1, 2));
    assert_ne!(first.key.number, other.key.number);
    let mut test = test.restarted();
    assert_eq!(test.link_by_name("ann_6f1").key.device, 3);
    // A new name for the owner leaves the account to those who registered under the old one.
    test.network.rename_account(&first.key.number, None, "Ann");
    let mut test = test.restarted();
    assert_eq!(test.link_by_name("ann_6f1").key.number, first.key.number);
}

#[test]
fn client_without_a_name_gets_an_account_of_its_own() {
    let mut test = TestNetwork::new();
    let (first, second) = (test.link_by_name(""), test.link_by_name(""));
    assert_ne!(first.key.number, second.key.number);
    assert_eq!((first.key.device, second.key.device), (1, 1));
}

#[test]
fn name_may_ask_for_a_scenario_which_outlives_a_restart() {
    let mut test = TestNetwork::new();
    let strict = test.link_by_name("restricted:e2e_tctok_463_a_1");
    let mut test = test.restarted();
    let bob = test.link(BOB);
    let to = test.lid(&strict.key.number);
    let ack = test.send(&bob, &to, vec![NodeBuilder::new("tctoken").build()]);
    assert!(wire::attribute_is(&ack, "error", "463") && wire::attribute_is(&ack, "from", &to));
}
