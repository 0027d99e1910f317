//! The ways out: HTTP for everything that speaks it, SMTP for email, and what Slack and Teams want of HTTP.
//!
//! A channel knows a vendor's form and manners (which request to make, what its answer means), not whether, when or how
//! often: that is the courier's and the driver's. One client a destination, so that connections, certificates and
//! timeouts of one are nothing to another.

pub mod body;
pub mod email;
pub mod exchange;
pub mod html;
pub mod http;
pub mod slack;
pub mod teams;
pub mod tls;
