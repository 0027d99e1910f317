
#[test]
fn print() { println!("ID {}", super::reward_id("recognition", "agent-0417", "bronze", 0)); panic!() }
