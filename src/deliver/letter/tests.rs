//! Letters and decisions: there and back, names, and what is open.
