-- The tables of version 1, as it made them in PostgreSQL.

CREATE TABLE submissions (
    id BIGSERIAL NOT NULL,
    scope TEXT NOT NULL,
    op_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    effect TEXT NOT NULL,
    tool TEXT NOT NULL,
    identity TEXT NOT NULL,
    generation BIGINT NOT NULL,
    claimed_at_ms BIGINT NOT NULL,
    doubtful_before INTEGER NOT NULL CHECK (doubtful_before IN (0, 1)),
    earlier_sent_at_ms BIGINT,
    buyer TEXT,
    supplier TEXT,
    number TEXT,
    number_key TEXT,
    near_number TEXT,
    amount_cents BIGINT,
    currency TEXT,
    invoice_date TEXT,
    discount_cents BIGINT,
    change TEXT,
    state TEXT NOT NULL CHECK (state IN ('absent', 'confirmed', 'conflict', 'in_doubt', 'intended', 'rejected', 'sent')),
    reason TEXT,
    http_status BIGINT,
    finexio_id TEXT,
    by_operator INTEGER NOT NULL CHECK (by_operator IN (0, 1)),
    sent_at_ms BIGINT,
    settled_at_ms BIGINT,
    owner TEXT,
    lease_until_ms BIGINT NOT NULL,
    looks BIGINT NOT NULL,
    next_look_at_ms BIGINT,
    absent_since_ms BIGINT,
    superseded INTEGER NOT NULL CHECK (superseded IN (0, 1)),
    live INTEGER GENERATED ALWAYS AS (CASE WHEN superseded = 0 AND (
    state IN ('in_doubt', 'intended', 'sent') OR (effect = 'pay' AND state IN ('confirmed', 'conflict', 'in_doubt', 'intended', 'sent'))
) THEN 1 ELSE 0 END) STORED NOT NULL,
    PRIMARY KEY (id),
    CHECK (effect IN ('pay', 'write')),
    UNIQUE (op_id, position)
);

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
    id BIGINT NOT NULL CHECK (id = 1),
    version BIGINT NOT NULL,
    ledger_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    hash TEXT NOT NULL,
    key_check TEXT,
    PRIMARY KEY (id)
);

CREATE TABLE events (
    seq BIGINT NOT NULL,
    submission_id BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    op_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    before TEXT,
    after TEXT NOT NULL,
    by TEXT NOT NULL,
    reason TEXT,
    http_status BIGINT,
    finexio_id TEXT,
    note TEXT,
    facts TEXT,
    supersedes BIGINT,
    hash TEXT NOT NULL,
    PRIMARY KEY (seq),
    CHECK (length(note) <= 500),
    FOREIGN KEY(submission_id) REFERENCES submissions (id)
);

CREATE INDEX events_supersedes ON events (supersedes) WHERE supersedes IS NOT NULL;

CREATE INDEX events_op_id ON events (op_id);

CREATE INDEX events_submission_id ON events (submission_id);

CREATE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION USING MESSAGE = 'refused by ' || TG_NAME, ERRCODE = 'restrict_violation'; END $$;

CREATE TRIGGER submissions_truncate BEFORE TRUNCATE ON submissions
FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();

CREATE TRIGGER events_truncate BEFORE TRUNCATE ON events
FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();

CREATE TRIGGER head_truncate BEFORE TRUNCATE ON head
FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();

CREATE TRIGGER submissions_begin BEFORE INSERT ON submissions FOR EACH ROW WHEN (NEW.state <> 'intended' OR NEW.superseded <> 0)
EXECUTE FUNCTION ledger_refuse();

CREATE TRIGGER submissions_stay BEFORE DELETE ON submissions FOR EACH ROW
EXECUTE FUNCTION ledger_refuse();

CREATE TRIGGER submissions_fixed BEFORE UPDATE ON submissions FOR EACH ROW WHEN (OLD.id <> NEW.id OR OLD.scope IS DISTINCT FROM NEW.scope OR OLD.op_id IS DISTINCT FROM NEW.op_id OR OLD.position IS DISTINCT FROM NEW.position OR OLD.effect IS DISTINCT FROM NEW.effect OR OLD.tool IS DISTINCT FROM NEW.tool OR OLD.identity IS DISTINCT FROM NEW.identity OR OLD.generation IS DISTINCT FROM NEW.generation OR OLD.claimed_at_ms IS DISTINCT FROM NEW.claimed_at_ms OR OLD.doubtful_before IS DISTINCT FROM NEW.doubtful_before OR OLD.earlier_sent_at_ms IS DISTINCT FROM NEW.earlier_sent_at_ms OR OLD.buyer IS DISTINCT FROM NEW.buyer OR OLD.supplier IS DISTINCT FROM NEW.supplier OR OLD.number IS DISTINCT FROM NEW.number OR OLD.number_key IS DISTINCT FROM NEW.number_key OR OLD.near_number IS DISTINCT FROM NEW.near_number OR OLD.amount_cents IS DISTINCT FROM NEW.amount_cents OR OLD.currency IS DISTINCT FROM NEW.currency OR OLD.invoice_date IS DISTINCT FROM NEW.invoice_date OR OLD.discount_cents IS DISTINCT FROM NEW.discount_cents OR OLD.change IS DISTINCT FROM NEW.change)
EXECUTE FUNCTION ledger_refuse();

CREATE TRIGGER submissions_move BEFORE UPDATE ON submissions FOR EACH ROW WHEN (OLD.state <> NEW.state AND OLD.state || '>' || NEW.state NOT IN ('absent>confirmed', 'absent>conflict', 'conflict>absent', 'conflict>confirmed', 'in_doubt>absent', 'in_doubt>confirmed', 'in_doubt>conflict', 'intended>absent', 'intended>sent', 'sent>confirmed', 'sent>in_doubt', 'sent>rejected'))
EXECUTE FUNCTION ledger_refuse();

CREATE TRIGGER submissions_outcome BEFORE UPDATE ON submissions FOR EACH ROW WHEN (OLD.state = NEW.state AND (OLD.reason IS DISTINCT FROM NEW.reason OR OLD.http_status IS DISTINCT FROM NEW.http_status OR OLD.finexio_id IS DISTINCT FROM NEW.finexio_id OR OLD.by_operator IS DISTINCT FROM NEW.by_operator OR OLD.sent_at_ms IS DISTINCT FROM NEW.sent_at_ms OR OLD.settled_at_ms IS DISTINCT FROM NEW.settled_at_ms))
EXECUTE FUNCTION ledger_refuse();

CREATE TRIGGER submissions_supersede BEFORE UPDATE ON submissions FOR EACH ROW WHEN (OLD.superseded <> NEW.superseded AND (OLD.superseded = 1 OR NEW.state <> 'confirmed'))
EXECUTE FUNCTION ledger_refuse();

CREATE TRIGGER events_stay BEFORE DELETE ON events FOR EACH ROW
EXECUTE FUNCTION ledger_refuse();

CREATE TRIGGER events_fixed BEFORE UPDATE ON events FOR EACH ROW
EXECUTE FUNCTION ledger_refuse();

CREATE TRIGGER head_stay BEFORE DELETE ON head FOR EACH ROW
EXECUTE FUNCTION ledger_refuse();

CREATE TRIGGER head_fixed BEFORE UPDATE ON head FOR EACH ROW WHEN (OLD.id <> NEW.id OR OLD.version <> NEW.version OR OLD.ledger_id <> NEW.ledger_id OR OLD.seq > NEW.seq OR OLD.key_check <> NEW.key_check)
EXECUTE FUNCTION ledger_refuse();
