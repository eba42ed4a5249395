//! Signatures, and texts with fields of orders.

use super::*;

#[test]
fn a_signature_is_good_for_its_body_and_secret_alone() {
    // RFC 4231, test case 2.
    let signature = "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=";
    let body = b"what do ya want for nothing?";
    assert!(is_signed(body, signature, b"Jefe"));
    assert!(!is_signed(body, signature, b"jefe") && !is_signed(b"what", signature, b"Jefe"));
    assert!(!is_signed(body, "", b"Jefe") && !is_signed(body, "not base64", b"Jefe"));
}

#[test]
fn fields_of_the_order_stand_in_the_text_and_one_that_is_missing_is_named() {
    let order = json!({ "name": "#1001", "total": 12.5, "customer": { "first_name": "" }, "lines": [{ "title": "Tea" }] });
    let text = "Hi {/customer/first_name|there}: {/lines/0/title}, {/total} ({/name})";
    assert_eq!(filled(text, &order), Ok("Hi there: Tea, 12.5 (#1001)".to_owned()));
    assert_eq!(filled("{/customer/first_name}", &order), Err("/customer/first_name is missing".to_owned()));
    assert_eq!(filled("{/customer}", &order), Err("/customer is missing".to_owned()));
    assert!(filled("{/name", &order).is_err());
}
