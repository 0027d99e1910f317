//! What agents, queues and contacts of the made-up centre are called, and what is said in them.

/// One line of business: everything a contact in it has in common.
pub struct Topic {
    /// Queue, and the skill it asks for.
    pub queue: &'static str,
    /// Skill.
    pub skill: &'static str,
    /// Wrap-up code.
    pub wrap_up: &'static str,
    /// Label the platform gives.
    pub tag: &'static str,
    /// What the customer came for, as a summary begins.
    pub openings: [&'static str; 3],
}

pub const TOPICS: [Topic; 6] = [
    Topic {
        queue: "billing-emea",
        skill: "billing",
        wrap_up: "billing_dispute",
        tag: "invoice",
        openings: [
            "Customer disputed a late fee on the latest invoice and said the payment had left the account two days before the due date.",
            "Customer asked why the monthly amount rose after the promotional period and wanted the first invoice explained line by line.",
            "Customer was charged twice for the same order and had already been told once that a refund was on its way.",
        ],
    },
    Topic {
        queue: "orders-emea",
        skill: "orders",
        wrap_up: "delivery_status",
        tag: "delivery",
        openings: [
            "Customer asked where the order is: tracking has not moved for five days and the carrier's line could not be reached.",
            "Customer received a parcel with one of three items missing; the packing list shows all of them as sent.",
            "Customer wanted to change the delivery address of an order that had left the warehouse the evening before.",
        ],
    },
    Topic {
        queue: "tech-support",
        skill: "technical",
        wrap_up: "device_setup",
        tag: "router",
        openings: [
            "Customer reported that the connection drops every evening between eight and ten, on the cable as well as over the air.",
            "Customer could not complete the set-up of a new router: the activation page stops at the third step with an error.",
            "Customer asked for help moving a mailbox to a new phone after the old one was replaced under warranty.",
        ],
    },
    Topic {
        queue: "retention",
        skill: "retention",
        wrap_up: "contract_end",
        tag: "contract",
        openings: [
            "Customer wanted to know the notice period and the cost of leaving before the end of the contract's second year.",
            "Customer compared our offer with a competitor's and asked whether the price of the current plan can be matched.",
            "Customer is moving abroad and asked how the contract can be ended or put on hold for at least twelve months.",
        ],
    },
    Topic {
        queue: "sales-inbound",
        skill: "sales",
        wrap_up: "product_advice",
        tag: "upgrade",
        openings: [
            "Customer asked which plan fits a household of four with two people working from home most days of the week.",
            "Customer wanted to add a second line for a family member and keep the number from another provider.",
            "Customer asked about trading in the current device and what the monthly price of the newer model would be.",
        ],
    },
    Topic {
        queue: "accounts",
        skill: "identity",
        wrap_up: "account_access",
        tag: "login",
        openings: [
            "Customer was locked out after three attempts and no longer has the phone that receives the confirmation codes.",
            "Customer asked to have the account holder changed after a marriage and had already sent the certificate twice.",
            "Customer received a message about a sign-in from another country and wanted to know whether data was taken.",
        ],
    },
];

/// A way a contact ends: name, lowest sentiment in hundredths, closing sentences.
pub struct Ending {
    pub disposition: &'static str,
    /// Sentiment is spread over the 60 hundredths from here on.
    pub sentiment_from: i32,
    /// Weight out of 100.
    pub weight: u64,
    pub closings: [&'static str; 2],
}

pub const ENDINGS: [Ending; 8] = [
    Ending {
        disposition: "resolved",
        sentiment_from: 10,
        weight: 58,
        closings: [
            "Agent explained the reason, corrected it at once and confirmed the result by email. Customer thanked the agent and had no further questions.",
            "Agent solved it during the contact and named the date from which the change shows. Customer agreed and said that this had been quick.",
        ],
    },
    Ending {
        disposition: "callback_scheduled",
        sentiment_from: -20,
        weight: 10,
        closings: [
            "Agent needs an answer from the specialists and agreed on a callback tomorrow between nine and eleven on the number given.",
            "The system needed was in maintenance. Agent noted all details and promised a callback before the end of the day.",
        ],
    },
    Ending {
        disposition: "transferred",
        sentiment_from: -40,
        weight: 9,
        closings: [
            "Agent handed over to the second line with the notes taken so far. Customer asked not to have to explain everything again.",
            "The matter belongs to another team. Agent transferred warm and stayed until the colleague had taken over.",
        ],
    },
    Ending {
        disposition: "product_inquiry",
        sentiment_from: 20,
        weight: 8,
        closings: [
            "Agent compared two options and sent both by email. Customer wants to decide at the weekend with the family.",
            "Agent checked what is available at the address and made an offer that holds for two weeks.",
        ],
    },
    Ending {
        disposition: "upgrade_inquiry",
        sentiment_from: 30,
        weight: 5,
        closings: [
            "Customer liked the larger plan and asked for the start date of the next month. Agent prepared the order for confirmation.",
            "Agent explained the price after the first year; customer was content with it and will order online tonight.",
        ],
    },
    Ending {
        disposition: "complaint",
        sentiment_from: -95,
        weight: 5,
        closings: [
            "Customer was upset about the third contact for the same matter. Agent apologised, filed a complaint and named its number.",
            "Customer did not accept the explanation. Agent noted the complaint and announced a written answer within five days.",
        ],
    },
    Ending {
        disposition: "escalated",
        sentiment_from: -95,
        weight: 3,
        closings: [
            "Customer asked for a supervisor. None was free; agent escalated with priority and apologised for the wait.",
            "Agent could not grant the credit asked for and escalated to the team lead, who calls back today.",
        ],
    },
    Ending {
        disposition: "cancellation",
        sentiment_from: -75,
        weight: 2,
        closings: [
            "Customer declined the offer to stay and ended the contract. Agent confirmed the last day and the return of the device.",
            "Contract cancelled at the next possible date. Customer named the price as the reason and asked for a written confirmation.",
        ],
    },
];

pub const FIRST_NAMES: [&str; 16] = [
    "Ines", "José", "Aylin", "Tomasz", "Grace", "Mateo", "Noor", "Henrik", "Chloé", "Ravi",
    "Sofia", "Daniel", "Mei", "Olu", "Zoë", "Luka",
];

pub const LAST_NAMES: [&str; 16] = [
    "Kowalczyk",
    "García",
    "Yılmaz",
    "Okafor",
    "Lindqvist",
    "Müller",
    "Haddad",
    "Novák",
    "Rossi",
    "O'Brien",
    "Tanaka",
    "Patel",
    "Silva",
    "Dubois",
    "van Dijk",
    "Popescu",
];

pub const CHANNELS: [(&str, u64); 6] = [
    ("voice", 55),
    ("chat", 18),
    ("message", 12),
    ("email", 9),
    ("callback", 4),
    ("video", 2),
];

/// Comments by score: the first list for 1 and 2, the second for 3, the third for 4 and 5.
pub const COMMENTS: [[&str; 4]; 3] = [
    [
        "I was transferred three times and had to explain my problem again every time. In the end nobody could tell me when it will be solved.",
        "Forty minutes in the queue, then the line was cut. The second colleague read the same text from the screen as the first one.",
        "Promised a callback for Tuesday, nobody called. I had to contact you again, and the notes of the first call were gone.",
        "The answer was \"that is how it is\". I have been a customer for nine years and did not expect this.",
    ],
    [
        "It took a while, but in the end I got an answer. The confirmation by email came only after I asked for it again.",
        "Agent was friendly, the process is not: why do I have to send the same document twice?",
        "OK. The waiting time could be shorter and the menu at the beginning is confusing.",
        "Half of it is solved, for the other half I have to call another number tomorrow.",
    ],
    [
        "Quick, friendly and competent. My question was answered in a few minutes and the email with all details came at once.",
        "Very patient with me, explained each step and stayed on the line until the router was working again. Thank you!",
        "Great service – exactly what I needed, and without being put on hold even once.",
        "The agent understood the problem immediately and offered a credit without my asking for it.",
    ],
];

/// Comments that a critical keyword stands in (REQUIREMENTS S2.04).
pub const KEYWORD_COMMENTS: [&str; 3] = [
    "If the double charge is not paid back by Friday there will be a lawsuit. I have written down every name and every call.",
    "The tone was unprofessional from the first minute on. I was interrupted constantly and then laughed at.",
    "Unprofessional! My lawyer already prepares the LAWSUIT, and the recording of this call will be a part of it.",
];

pub const METRICS: [&str; 3] = ["adherence", "aht_compliance", "points"];
