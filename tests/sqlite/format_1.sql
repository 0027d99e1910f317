-- A log as the program of format 1 made it: its tables word for word, and some of everything in them.
CREATE TABLE meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    partition_count INTEGER NOT NULL,
    last_position INTEGER NOT NULL,
    last_time INTEGER NOT NULL
) STRICT;
CREATE TABLE event (
    position INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    agent INTEGER,
    customer INTEGER,
    headers BLOB NOT NULL,
    payload BLOB NOT NULL
) STRICT;
CREATE TABLE message_id (
    first_position INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    hashes BLOB NOT NULL
) STRICT;
CREATE TABLE journal (
    seq INTEGER PRIMARY KEY,
    partition TEXT NOT NULL,
    bytes BLOB NOT NULL
) STRICT;
CREATE INDEX journal_partition ON journal (partition);
CREATE TABLE snapshot (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    partition TEXT NOT NULL,
    bytes BLOB NOT NULL
) STRICT;
CREATE INDEX snapshot_partition ON snapshot (partition);
CREATE TABLE output (
    seq INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    partition TEXT NOT NULL,
    lane TEXT NOT NULL,
    commit_number INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    headers BLOB NOT NULL,
    payload BLOB NOT NULL
) STRICT;
CREATE TABLE output_mark (
    partition TEXT NOT NULL,
    lane TEXT NOT NULL,
    seq INTEGER NOT NULL,
    commit_number INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    PRIMARY KEY (partition, lane)
) STRICT, WITHOUT ROWID;

PRAGMA application_id = 0x61667463;
PRAGMA user_version = 1;
INSERT INTO meta VALUES (1, 4, 2, 1795163400250);
INSERT INTO event VALUES
    (1, 1795163400000, 0, 3, CAST('ce-id: e1' || char(13, 10) AS BLOB), CAST('one' AS BLOB)),
    (2, 1795163400250, NULL, NULL, x'', CAST('two' AS BLOB));
INSERT INTO message_id VALUES (1, 1795163400250, randomblob(32));
INSERT INTO journal (seq, partition, bytes) VALUES
    (1, 'agent.0', CAST('first' AS BLOB)),
    (2, 'agent.3', CAST('other' AS BLOB)),
    (3, 'agent.0', CAST('second' AS BLOB));
INSERT INTO snapshot (seq, partition, bytes) VALUES (7, 'customer.1', CAST('chunk' AS BLOB));
INSERT INTO output VALUES
    (1, 1795163400100, 'agent.0', 'alert', 1, 0, CAST('ce-id: a1' || char(13, 10) AS BLOB), CAST('{}' AS BLOB)),
    (2, 1795163400100, 'agent.0', 'dead', 1, 1, CAST('ce-id: dead:1' || char(13, 10) AS BLOB), CAST('{}' AS BLOB)),
    (3, 1795163400200, 'agent.0', 'alert', 2, 0, CAST('ce-id: a2' || char(13, 10) AS BLOB), CAST('{}' AS BLOB)),
    (4, 1795163400250, 'customer.1', 'profile', 5, 2, CAST('ce-id: p1' || char(13, 10) AS BLOB), CAST('{}' AS BLOB));
INSERT INTO output_mark VALUES
    ('agent.0', 'alert', 3, 2, 0),
    ('agent.0', 'dead', 2, 1, 1),
    ('customer.1', 'profile', 4, 5, 2);
