-- The tables of version 1, as it made them in SQLite.

CREATE TABLE submissions (
    id INTEGER NOT NULL,
    scope TEXT NOT NULL,
    op_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    effect TEXT NOT NULL,
    tool TEXT NOT NULL,
    identity TEXT NOT NULL,
    generation INTEGER NOT NULL,
    claimed_at_ms INTEGER NOT NULL,
    doubtful_before INTEGER NOT NULL CHECK (doubtful_before IN (0, 1)),
    earlier_sent_at_ms INTEGER,
    buyer TEXT,
    supplier TEXT,
    number TEXT,
    number_key TEXT,
    near_number TEXT,
    amount_cents INTEGER,
    currency TEXT,
    invoice_date TEXT,
    discount_cents INTEGER,
    change TEXT,
    state TEXT NOT NULL CHECK (state IN ('absent', 'confirmed', 'conflict', 'in_doubt', 'intended', 'rejected', 'sent')),
    reason TEXT,
    http_status INTEGER,
    finexio_id TEXT,
    by_operator INTEGER NOT NULL CHECK (by_operator IN (0, 1)),
    sent_at_ms INTEGER,
    settled_at_ms INTEGER,
    owner TEXT,
    lease_until_ms INTEGER NOT NULL,
    looks INTEGER NOT NULL,
    next_look_at_ms INTEGER,
    absent_since_ms INTEGER,
    superseded INTEGER NOT NULL CHECK (superseded IN (0, 1)),
    live INTEGER NOT NULL GENERATED ALWAYS AS (CASE WHEN superseded = 0 AND (
    state IN ('in_doubt', 'intended', 'sent') OR (effect = 'pay' AND state IN ('confirmed', 'conflict', 'in_doubt', 'intended', 'sent'))
) THEN 1 ELSE 0 END) STORED,
    PRIMARY KEY (id),
    CHECK (effect IN ('pay', 'write')),
    UNIQUE (op_id, position)
)
 STRICT;

CREATE INDEX submissions_day ON submissions (scope, claimed_at_ms) WHERE live = 1;

CREATE UNIQUE INDEX submissions_live ON submissions (scope, identity) WHERE live = 1;

CREATE INDEX submissions_conflict ON submissions (state) WHERE state = 'conflict';

CREATE INDEX submissions_supplier ON submissions (scope, supplier);

CREATE INDEX submissions_identity ON submissions (scope, identity);

CREATE INDEX submissions_near_amount ON submissions (scope, (supplier || ' ' || invoice_date || ' ' || CAST(amount_cents AS TEXT))) WHERE live = 1;

CREATE INDEX submissions_in_doubt ON submissions (scope, next_look_at_ms) WHERE state = 'in_doubt';

CREATE INDEX submissions_finexio_id ON submissions (scope, finexio_id) WHERE finexio_id IS NOT NULL;

CREATE INDEX submissions_near_number ON submissions (scope, (supplier || ' ' || near_number)) WHERE live = 1;

CREATE INDEX submissions_number ON submissions (scope, number_key);

CREATE INDEX submissions_leased ON submissions (scope, lease_until_ms) WHERE state IN ('intended', 'sent');

CREATE TABLE head (
    id INTEGER NOT NULL CHECK (id = 1),
    version INTEGER NOT NULL,
    ledger_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    hash TEXT NOT NULL,
    key_check TEXT,
    PRIMARY KEY (id)
)
 STRICT;

CREATE TABLE events (
    seq INTEGER NOT NULL,
    submission_id INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    op_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    "before" TEXT,
    "after" TEXT NOT NULL,
    "by" TEXT NOT NULL,
    reason TEXT,
    http_status INTEGER,
    finexio_id TEXT,
    note TEXT,
    facts TEXT,
    supersedes INTEGER,
    hash TEXT NOT NULL,
    PRIMARY KEY (seq),
    CHECK (length(note) <= 500),
    FOREIGN KEY(submission_id) REFERENCES submissions (id)
)
 STRICT;

CREATE INDEX events_supersedes ON events (supersedes) WHERE supersedes IS NOT NULL;

CREATE INDEX events_op_id ON events (op_id);

CREATE INDEX events_submission_id ON events (submission_id);

CREATE TRIGGER submissions_begin BEFORE INSERT ON submissions WHEN (NEW.state <> 'intended' OR NEW.superseded <> 0)
BEGIN SELECT RAISE(ABORT, 'refused by submissions_begin'); END;

CREATE TRIGGER submissions_stay BEFORE DELETE ON submissions
BEGIN SELECT RAISE(ABORT, 'refused by submissions_stay'); END;

CREATE TRIGGER submissions_fixed BEFORE UPDATE ON submissions WHEN (OLD.id <> NEW.id OR OLD.scope IS NOT NEW.scope OR OLD.op_id IS NOT NEW.op_id OR OLD.position IS NOT NEW.position OR OLD.effect IS NOT NEW.effect OR OLD.tool IS NOT NEW.tool OR OLD.identity IS NOT NEW.identity OR OLD.generation IS NOT NEW.generation OR OLD.claimed_at_ms IS NOT NEW.claimed_at_ms OR OLD.doubtful_before IS NOT NEW.doubtful_before OR OLD.earlier_sent_at_ms IS NOT NEW.earlier_sent_at_ms OR OLD.buyer IS NOT NEW.buyer OR OLD.supplier IS NOT NEW.supplier OR OLD.number IS NOT NEW.number OR OLD.number_key IS NOT NEW.number_key OR OLD.near_number IS NOT NEW.near_number OR OLD.amount_cents IS NOT NEW.amount_cents OR OLD.currency IS NOT NEW.currency OR OLD.invoice_date IS NOT NEW.invoice_date OR OLD.discount_cents IS NOT NEW.discount_cents OR OLD.change IS NOT NEW.change)
BEGIN SELECT RAISE(ABORT, 'refused by submissions_fixed'); END;

CREATE TRIGGER submissions_move BEFORE UPDATE ON submissions WHEN (OLD.state <> NEW.state AND OLD.state || '>' || NEW.state NOT IN ('absent>confirmed', 'absent>conflict', 'conflict>absent', 'conflict>confirmed', 'in_doubt>absent', 'in_doubt>confirmed', 'in_doubt>conflict', 'intended>absent', 'intended>sent', 'sent>confirmed', 'sent>in_doubt', 'sent>rejected'))
BEGIN SELECT RAISE(ABORT, 'refused by submissions_move'); END;

CREATE TRIGGER submissions_outcome BEFORE UPDATE ON submissions WHEN (OLD.state = NEW.state AND (OLD.reason IS NOT NEW.reason OR OLD.http_status IS NOT NEW.http_status OR OLD.finexio_id IS NOT NEW.finexio_id OR OLD.by_operator IS NOT NEW.by_operator OR OLD.sent_at_ms IS NOT NEW.sent_at_ms OR OLD.settled_at_ms IS NOT NEW.settled_at_ms))
BEGIN SELECT RAISE(ABORT, 'refused by submissions_outcome'); END;

CREATE TRIGGER submissions_supersede BEFORE UPDATE ON submissions WHEN (OLD.superseded <> NEW.superseded AND (OLD.superseded = 1 OR NEW.state <> 'confirmed'))
BEGIN SELECT RAISE(ABORT, 'refused by submissions_supersede'); END;

CREATE TRIGGER events_stay BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'refused by events_stay'); END;

CREATE TRIGGER events_fixed BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'refused by events_fixed'); END;

CREATE TRIGGER head_stay BEFORE DELETE ON head
BEGIN SELECT RAISE(ABORT, 'refused by head_stay'); END;

CREATE TRIGGER head_fixed BEFORE UPDATE ON head WHEN (OLD.id <> NEW.id OR OLD.version <> NEW.version OR OLD.ledger_id <> NEW.ledger_id OR OLD.seq > NEW.seq OR OLD.key_check <> NEW.key_check)
BEGIN SELECT RAISE(ABORT, 'refused by head_fixed'); END;
