//! The courier against real servers: the exact requests that leave, what each way of failing is called, and the manners
//! of Slack, Teams and email.

#[path = "courier/channels.rs"]
mod channels;
#[path = "courier/faults.rs"]
mod faults;
#[path = "courier/fixtures.rs"]
mod fixtures;
#[path = "courier/plain.rs"]
mod plain;
#[path = "support/python.rs"]
mod python;
#[path = "courier/recipients.rs"]
mod recipients;
#[path = "courier/requests.rs"]
mod requests;
#[path = "courier/several.rs"]
mod several;
#[path = "support/smtp.rs"]
mod smtp;
#[path = "courier/vendor.rs"]
mod vendor;
