//! Which files are taken, and when: the looks one by one, without waiting for the next one.
