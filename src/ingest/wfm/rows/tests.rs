//! Every form of a file gives the same rows, and what is wrong with one is one bad row.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use super::{
    super::{Cell, Flaw, ROW_BYTES_MAX},
    *,
};

/// A row as `line: column=value ...`, a bad one as `line: flaw`, the end of a broken file as its message.
fn rows(bytes: &[u8]) -> Vec<String> {
    let mut rows = match Rows::open(Cursor::new(bytes.to_vec()), &WfmColumns::default()) {
        Ok(rows) => rows,
        Err(error) => return vec![error.to_string()],
    };
    let mut all = Vec::new();
    loop {
        match rows.next_row() {
            Ok(None) => return all,
            Ok(Some(Ok(row))) => {
                let cells = row.cells.iter().map(|(name, cell)| match cell {
                    Cell::Empty => format!(" {name}="),
                    Cell::Text(text) => format!(" {name}={text}"),
                    Cell::Number(number) => format!(" {name}=#{number}"),
                    Cell::Other(kind) => format!(" {name}=({kind})"),
                });
                all.push(format!("{}:{}", row.line, cells.collect::<String>()));
            }
            Ok(Some(Err(bad))) => all.push(format!("{}: {}", bad.line, bad.flaw.name())),
            Err(error) => {
                all.push(error.to_string());
                return all;
            }
        }
    }
}

fn packed(parts: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(part.as_bytes()).unwrap();
        bytes.extend(encoder.finish().unwrap());
    }
    bytes
}

#[test]
fn s3_01_csv_is_read_with_any_delimiter_quoted_packed_and_with_a_mark() {
    let plain = "agentId,date,csat\na-1, 2026-11-20 ,5\n\n\"a \"\"2\"\"\",2026-11-20,\n";
    let wanted = [
        "2: agentId=a-1 date=2026-11-20 csat=5",
        "4: agentId=a \"2\" date=2026-11-20 csat=",
    ];
    assert_eq!(rows(plain.as_bytes()), wanted);
    for delimiter in [";", "\t"] {
        assert_eq!(rows(plain.replace(',', delimiter).as_bytes()), wanted);
    }
    assert_eq!(rows(plain.replace('\n', "\r\n").as_bytes()), wanted);
    assert_eq!(
        rows(plain.trim_end().as_bytes()),
        wanted,
        "without a last line break"
    );
    assert_eq!(rows(format!("\u{feff}{plain}").as_bytes()), wanted);
    // A file packed in two runs is two members one after the other.
    let (one, two) = plain.split_at(30);
    assert_eq!(rows(&packed(&[plain])), wanted);
    assert_eq!(rows(&packed(&[one, two])), wanted);
    assert_eq!(
        rows(b"agentId,date,csat\n\"a\n1\",2026-11-20,5\nb,2026-11-20,4\n"),
        [
            "2: agentId=a\n1 date=2026-11-20 csat=5",
            "4: agentId=b date=2026-11-20 csat=4"
        ],
        "a row is where it begins"
    );
}

#[test]
fn s3_01_json_is_read_as_an_array_and_line_by_line() {
    let one = r#"{"agentId":"a,]1","date":"2026-11-20","csat":5,"x":null}"#;
    let two = r#"{"agentId":17,"date":"2026-11-20","csat":"4.5","x":[{"y":"]"}]}"#;
    let first = "agentId=a,]1 date=2026-11-20 csat=#5 x=";
    let second = "agentId=#17 date=2026-11-20 csat=4.5 x=(an array)";
    assert_eq!(
        rows(format!("\n[\n{one},\n{two}\n]\n").as_bytes()),
        [format!("3: {first}"), format!("4: {second}")]
    );
    assert_eq!(
        rows(format!("{one}\n\n{two}").as_bytes()),
        [format!("1: {first}"), format!("3: {second}")]
    );
    assert_eq!(rows(b" [ ] "), [""; 0]);
    assert_eq!(
        rows(&packed(&[&format!("[{one}]")])),
        [format!("1: {first}")]
    );
}

#[test]
fn s3_02_a_row_that_cannot_be_read_is_one_bad_row_and_the_rest_goes_on() {
    assert_eq!(
        rows(b"agentId,date,csat\na,2026-11-20\nb,2026-11-20,4,\nc,2026-11-20,\xff\nd,2026-11-20,3\n"),
        [
            "2: wrong_width",
            "3: wrong_width",
            "4: unreadable",
            "5: agentId=d date=2026-11-20 csat=3",
        ]
    );
    assert_eq!(
        rows(b"{\"agentId\":\"a\"\n{\"agentId\":\"a\",\"agentId\":\"b\"}\n[1]\n{\"csat\":1e999}\n{\"csat\":1}\n"),
        ["1: unreadable", "2: double_column", "3: unreadable", "4: unreadable", "5: csat=#1"]
    );
    assert_eq!(
        rows(b"[{\"csat\":1},\n,7,\n{\"csat\"},{\"csat\":2},]"),
        [
            "1: csat=#1",
            "2: unreadable",
            "2: unreadable",
            "3: unreadable",
            "3: csat=#2",
            "3: unreadable"
        ]
    );
}

#[test]
fn s3_02_a_file_that_cannot_be_read_on_says_from_which_line() {
    assert_eq!(
        rows(b"[{\"csat\":1},\n{\"csat\":2"),
        [
            "1: csat=#1",
            "cannot be read from line 2 on: the file ends within the array; was it cut off?"
        ]
    );
    assert_eq!(
        rows(b"[{\"csat\":1}]\n{}"),
        ["cannot be read from line 2 on: the array has ended, but the file has not"]
    );
    let open = format!(
        "agentId,date,csat\na,2026-11-20,1\n\"b,{}",
        "x\n".repeat(ROW_BYTES_MAX)
    );
    assert_eq!(
        rows(open.as_bytes()),
        [
            "2: agentId=a date=2026-11-20 csat=1",
            "cannot be read from line 3 on: the row has more than 1048576 bytes; is a quotation mark not closed?",
        ]
    );
    for (begin, fill, end) in [("", " ", ""), ("[", " ", "]")] {
        let long = |spaces: usize| format!("{begin}{{\"csat\":1{}}}{end}", fill.repeat(spaces));
        let fits = ROW_BYTES_MAX - "{\"csat\":1}".len();
        assert_eq!(rows(long(fits).as_bytes()), ["1: csat=#1"]);
        let broken = rows(long(fits + 1).as_bytes());
        assert!(
            broken[0].starts_with("cannot be read from line 1 on: the row has more"),
            "{broken:?}"
        );
    }
}

#[test]
fn s3_02_gzip_that_is_cut_off_changed_or_followed_by_something_says_where_it_cannot_be_unpacked() {
    let row = |agent: usize| format!("agent-{agent},2026-11-20,1\n");
    let text = "agentId,date,csat\n".to_owned() + &(0..5_000).map(row).collect::<String>();
    let whole = packed(&[&text]);
    assert_eq!(rows(&whole).len(), 5_000);
    let (length, mut changed) = (whole.len(), whole.clone());
    changed[length - 6] ^= 1;
    let mut broken = whole.clone();
    for byte in &mut broken[length / 2..length / 2 + 40] {
        *byte = 0xff;
    }
    let trailing = |tail: &[u8]| [&whole[..], tail].concat();
    let second = packed(&["b,2026-11-20,2\n"]);
    let cut_second = trailing(&second[..second.len() - 3]);
    let cut = "it ends within the compressed data; was it cut off?";
    let behind = "what stands behind the compressed data is none, or was cut off";
    for (bytes, why) in [
        (whole[..length - 1].to_vec(), cut),
        (whole[..length - 9].to_vec(), cut),
        (whole[..length / 2].to_vec(), cut),
        (whole[..12].to_vec(), cut),
        (whole[..5].to_vec(), cut),
        (
            changed,
            "the checksum is another one than that of the content",
        ),
        // Found out by what it unpacks to, or by the checksum of that.
        (broken, ""),
        (trailing(b"x"), behind),
        (trailing(&[0; 512]), behind),
        (trailing(b"agentId,date,csat\n"), behind),
        (cut_second, cut),
    ] {
        let found = rows(&bytes);
        let last = found.last().unwrap();
        assert!(last.contains(why), "{why}: {last}");
        let (line, rest) = last
            .strip_prefix("cannot be unpacked behind line ")
            .and_then(|rest| rest.split_once(", at byte "))
            .unwrap();
        // One line a row, and the header's; what was changed may read as anything.
        let expected = if found.len() == 1 { 0 } else { found.len() };
        assert!(line.parse() == Ok(expected) || why.is_empty(), "{last}");
        let byte = rest.split(' ').next().unwrap();
        assert!(byte.parse::<usize>().unwrap() <= bytes.len(), "{last}");
    }
}

#[test]
fn s3_02_a_disk_that_fails_under_gzip_is_no_fault_of_the_file() {
    struct Failing(Cursor<Vec<u8>>);
    impl Read for Failing {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            match self.0.read(into)? {
                0 => Err(io::Error::other("no answer from the share")),
                read => Ok(read),
            }
        }
    }
    let mut bytes = packed(&["agentId,date,csat\na,2026-11-20,1\n"]);
    bytes.truncate(bytes.len() - 9);
    let opened = Rows::open(Failing(Cursor::new(bytes)), &WfmColumns::default());
    let error = match opened {
        Err(error) => error,
        Ok(mut rows) => loop {
            if let Err(error) = rows.next_row() {
                break error;
            }
        },
    };
    assert!(matches!(error, ReadError::Io(_)), "{error:?}");
}

#[test]
fn s3_02_a_hundred_thousand_columns_are_refused_at_the_header() {
    let columns = |count: usize| (0..count).map(|n| format!(",c{n}")).collect::<String>();
    let file = |count: usize| format!("agentId,date{}\n", columns(count - 2));
    assert_eq!(rows(file(1_000).as_bytes()), [""; 0]);
    assert_eq!(
        rows(file(100_000).as_bytes()),
        ["line 1: header: 100000 columns; at most 1000 are read"]
    );
}

#[test]
fn s3_02_columns_that_are_not_the_mappings_are_found_before_the_first_row() {
    let cases = [
        (
            "",
            "line 1: nothing in it; a CSV has at least a header, JSON at least []",
        ),
        (
            "\nagent_id,date,csat\n",
            "line 2: header: no column `agentId` (agent in [import.wfm]); did you mean `agent_id`? (known: agent_id, csat, \
             date)",
        ),
        (
            "agentId,csat,date,csat\n",
            "line 1: header: column `csat` stands there twice",
        ),
        (
            "agentId,date\n",
            "line 1: header: no column besides agent and date, so no metric",
        ),
    ];
    for (text, why) in cases {
        assert_eq!(rows(text.as_bytes()), [why]);
    }
    let utf16 = rows(&[0xff, 0xfe, b'a', 0]);
    assert!(utf16[0].starts_with("line 1: UTF-16"), "{utf16:?}");
    assert_eq!(Flaw::Unreadable.name(), "unreadable");

    let columns = WfmColumns {
        metrics: vec![("Adherence %".into(), "adherence".into())],
        ..WfmColumns::default()
    };
    let error = Rows::open(&b"agentId,date,Adherence\n"[..], &columns)
        .err()
        .unwrap();
    assert!(
        error
            .to_string()
            .starts_with("line 1: header: no column `Adherence %` (metrics in [import.wfm])"),
        "{error}"
    );
}
