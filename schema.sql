-- Troupe's relational schema, as it is now, readable from top to bottom. PRAGMA user_version names the last migration that is
-- included here (src/store/migrations/NNN.sql lead to it from every released version; a test proves that both ways meet).
--
-- Conventions: STRICT tables. Ids are 63-bit, time-ordered, made by the program (base/id.h). Moments are milliseconds since 1970 UTC and end in _at.
-- What can be restored has deleted_at. JSON columns hold what is read and written whole and never searched inside.
-- A CHECK that every message passes names its words with OR: for IN with more than two SQLite builds a table at each insert.
-- Booleans are 0 or 1. Blob keys are the SHA-256 of the bytes in hex (store/blob.h).

-- ====================================================================================================================
-- The instance
-- ====================================================================================================================

-- Facts about this installation that are not settings: 'setup_code_hash', 'starters_added', ...
CREATE TABLE instance (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Keys that sign access tokens (ES256). The newest that is not retired signs; all that are here verify, and are shown in the JWKS.
CREATE TABLE signing_key (
    kid           TEXT    NOT NULL PRIMARY KEY,   -- RFC 7638 thumbprint
    secret_sealed BLOB    NOT NULL,               -- 32 bytes under the key file, AES-256-GCM, context = kid
    created_at    INTEGER NOT NULL,
    retired_at    INTEGER                         -- signs no more; deleted when the last token it signed has expired
) STRICT, WITHOUT ROWID;

-- Zeros, for a moment: what takes the place of freed pages that may still hold what was erased (person/erase_store.c).
CREATE TABLE zeros (
    id    INTEGER NOT NULL PRIMARY KEY,
    bytes BLOB    NOT NULL
) STRICT;

-- Work that must happen even if the process dies: store/job.h.
CREATE TABLE job (
    id           INTEGER NOT NULL PRIMARY KEY,
    kind         TEXT    NOT NULL,
    user_id      INTEGER,                         -- for whom, NULL for the house
    works_on     INTEGER,                         -- what it changes: of one kind, one job at a time works on it; NULL: any number
    payload      TEXT    NOT NULL DEFAULT '{}',   -- JSON
    state        TEXT    NOT NULL DEFAULT 'queued' CHECK (state = 'queued' OR state = 'running' OR state = 'done' OR state = 'dead' OR state = 'cancelled'),
    run_at       INTEGER NOT NULL,                -- not before this moment
    lease_until  INTEGER,                         -- while running: after this moment somebody else may take it
    attempts     INTEGER NOT NULL DEFAULT 0,
    progress     INTEGER NOT NULL DEFAULT 0,
    total        INTEGER NOT NULL DEFAULT 0,      -- 0: not known
    is_cancelled INTEGER NOT NULL DEFAULT 0 CHECK (is_cancelled IN (0, 1)),
    reason       TEXT,                            -- of the last failure, for a person
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX job_due ON job (kind, state, run_at);  -- each kind has its own limit, so each asks for its own next
CREATE UNIQUE INDEX job_alone ON job (kind, works_on) WHERE state = 'running';  -- two never run, whatever took them
CREATE INDEX job_in_line ON job (kind, works_on, run_at) WHERE state = 'queued' AND works_on IS NOT NULL;
CREATE INDEX job_of_user ON job (user_id, id) WHERE user_id IS NOT NULL;
CREATE INDEX job_leased ON job (lease_until) WHERE state = 'running';
CREATE INDEX job_over ON job (updated_at) WHERE state IN ('done', 'cancelled');  -- kept for a day
CREATE INDEX job_dead ON job (updated_at) WHERE state = 'dead';  -- kept for 30 days: somebody may look at them and try again

-- First answers to Idempotency-Key, kept for 24 hours: store/idempotency.h.
CREATE TABLE idempotency (
    user_id      INTEGER NOT NULL,                -- 0 for callers without an account
    key          TEXT    NOT NULL,
    fingerprint  BLOB    NOT NULL,                -- of method, path and body, keyed (app_repeat.c): the key belongs to one request
    status       INTEGER,                         -- NULL while the first request is under way
    content_type TEXT,
    body         BLOB,
    created_at   INTEGER NOT NULL,
    PRIMARY KEY (user_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_old ON idempotency (created_at);

-- ====================================================================================================================
-- People
-- ====================================================================================================================

CREATE TABLE user (
    id                INTEGER NOT NULL PRIMARY KEY,
    email             TEXT    NOT NULL,           -- as typed
    email_folded      TEXT    NOT NULL UNIQUE,    -- lower case, the name by which people sign in; taken until the row is gone
    email_verified_at INTEGER,                    -- a link that was sent there came back; NULL: not yet
    must_verify       INTEGER NOT NULL DEFAULT 0 CHECK (must_verify IN (0, 1)),  -- registered where a verified address is asked for: no sign-in before
    display_name      TEXT    NOT NULL,
    role              TEXT    NOT NULL CHECK (role IN ('owner', 'admin', 'moderator', 'creator', 'member')),
    password_phc      TEXT,                       -- Argon2id PHC string; NULL: no password login
    avatar_blob       TEXT,
    preferences       TEXT    NOT NULL DEFAULT '{}',  -- JSON object, keys by account/account.c
    is_adult          INTEGER NOT NULL DEFAULT 0 CHECK (is_adult IN (0, 1)),  -- the result of the age gate, never the date of birth
    adult_declared_at INTEGER,
    disabled_at       INTEGER,                    -- may not sign in
    token_epoch       INTEGER NOT NULL DEFAULT 0, -- raised to end every access token of this person at once
    revision          INTEGER NOT NULL DEFAULT 1,
    created_at        INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL,
    deleted_at        INTEGER,                    -- the person left: closed for everybody, and signing in before erase_at opens it again
    erase_at          INTEGER,                    -- set with deleted_at: from this moment on everything of this person goes for good (person/erase.c)
    CHECK ((deleted_at IS NULL) = (erase_at IS NULL))
) STRICT;
CREATE INDEX user_erase ON user (erase_at) WHERE erase_at IS NOT NULL;
CREATE INDEX user_picture ON user (avatar_blob) WHERE avatar_blob IS NOT NULL;  -- is a blob still referred to?
CREATE UNIQUE INDEX user_owner ON user (role) WHERE role = 'owner' AND deleted_at IS NULL;  -- one owner
CREATE INDEX user_unverified ON user (created_at) WHERE must_verify = 1;  -- removed after a week: nobody has ever signed in to them

-- What a person takes along: one archive each, in the folder exports/ of the data folder, under the name of the job that made it (person/export.c).
CREATE TABLE export (
    user_id    INTEGER NOT NULL PRIMARY KEY REFERENCES user (id) ON DELETE CASCADE,
    job_id     INTEGER NOT NULL UNIQUE,
    bytes      INTEGER,                           -- NULL until the file is whole
    made_at    INTEGER,
    expires_at INTEGER                            -- then the file goes, and the row with it
) STRICT;
CREATE INDEX export_expired ON export (expires_at) WHERE expires_at IS NOT NULL;

-- "Who I am" cards. One is the default; a conversation may choose another.
CREATE TABLE persona (
    id          INTEGER NOT NULL PRIMARY KEY,
    user_id     INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    name        TEXT    NOT NULL,
    description TEXT    NOT NULL DEFAULT '',
    avatar_blob TEXT,
    is_default  INTEGER NOT NULL DEFAULT 0 CHECK (is_default IN (0, 1)),
    revision    INTEGER NOT NULL DEFAULT 1,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX persona_of_user ON persona (user_id, id);
CREATE INDEX persona_picture ON persona (avatar_blob) WHERE avatar_blob IS NOT NULL;
CREATE UNIQUE INDEX persona_default ON persona (user_id) WHERE is_default = 1;

-- One sign-in on one device: the family of its refresh tokens (RFC 9700 section 4.14).
CREATE TABLE session (
    id           INTEGER NOT NULL PRIMARY KEY,
    user_id      INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    device       TEXT    NOT NULL DEFAULT '',     -- from User-Agent, shortened
    address      TEXT    NOT NULL DEFAULT '',     -- of the last use
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,                -- the absolute end; refreshing does not move it
    revoked_at   INTEGER,
    revoke_reason TEXT CHECK (revoke_reason IN ('logout', 'revoked', 'reuse', 'password', 'disabled'))
) STRICT;
CREATE INDEX session_of_user ON session (user_id, id);
CREATE INDEX session_expired ON session (expires_at);

CREATE TABLE refresh_token (
    hash       BLOB    NOT NULL PRIMARY KEY,      -- SHA-256 of the token; the token itself is nowhere
    session_id INTEGER NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    issued_at  INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,                  -- the idle end
    used_at    INTEGER,                           -- once used, showing it again ends the family
    successor  BLOB                               -- hash of the token that replaced it
) STRICT, WITHOUT ROWID;
CREATE INDEX refresh_token_of_session ON refresh_token (session_id);

CREATE TABLE api_key (
    id           INTEGER NOT NULL PRIMARY KEY,
    user_id      INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    name         TEXT    NOT NULL,
    hint         TEXT    NOT NULL,                -- the first letters, to tell keys apart
    hash         BLOB    NOT NULL UNIQUE,         -- SHA-256 of the key
    scopes       TEXT    NOT NULL,                -- space-separated words: 'read chat write admin'
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    last_used_at INTEGER,                         -- to the minute
    revoked_at   INTEGER
) STRICT;
CREATE INDEX api_key_of_user ON api_key (user_id, id);

CREATE TABLE invite (
    id         INTEGER NOT NULL PRIMARY KEY,
    code       TEXT    NOT NULL UNIQUE,           -- shown to those who may invite, so kept readable
    role       TEXT    NOT NULL DEFAULT 'member' CHECK (role IN ('admin', 'moderator', 'creator', 'member')),
    note       TEXT    NOT NULL DEFAULT '',
    uses_left  INTEGER NOT NULL CHECK (uses_left >= 0),
    created_by INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER
) STRICT;
CREATE INDEX invite_by_time ON invite (id);

-- Failed sign-ins by account and by address, for the growing delay.
CREATE TABLE login_failure (
    subject      TEXT    NOT NULL PRIMARY KEY,    -- 'account:<hash of the folded e-mail>' or 'address:<ip>'
    count        INTEGER NOT NULL,
    last_at      INTEGER NOT NULL,
    locked_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX login_failure_old ON login_failure (last_at);

-- How much mail somebody has asked for in the hour that began with the first of it: account/proof.h.
CREATE TABLE mail_quota (
    subject  TEXT    NOT NULL PRIMARY KEY,        -- 'account:<hash of the folded e-mail>', 'address:<ip>', 'house'
    count    INTEGER NOT NULL,
    began_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX mail_quota_old ON mail_quota (began_at);

-- Links that were sent by mail: who shows the token reads the mail of that address. One of a purpose at a time: a newer one replaces it.
CREATE TABLE email_token (
    hash         BLOB    NOT NULL PRIMARY KEY,    -- SHA-256 of the token; the token itself is in the mail alone
    user_id      INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    purpose      TEXT    NOT NULL CHECK (purpose IN ('reset', 'verify')),
    email_folded TEXT    NOT NULL,                -- where it was sent: proves nothing about another address
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX email_token_of_user ON email_token (user_id, purpose);
CREATE INDEX email_token_expired ON email_token (expires_at);

-- Mail that the house writes: account/outbox.h. It waits for the relay here, and where there is none it is read here.
CREATE TABLE mail (
    id          INTEGER NOT NULL PRIMARY KEY,
    user_id     INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    kind        TEXT    NOT NULL CHECK (kind IN ('reset', 'verify', 'exists', 'changed', 'test')),
    recipient   TEXT    NOT NULL,
    subject     TEXT    NOT NULL,
    text_sealed BLOB,                             -- under the key file, AES-256-GCM, context = 'mail:<id>'; NULL once it is sent, or of no use any more
    state       TEXT    NOT NULL CHECK (state IN ('queued', 'resting', 'sent', 'failed', 'expired')),  -- resting: there is no relay
    attempts    INTEGER NOT NULL DEFAULT 0,       -- by the relay
    reason      TEXT,                             -- of the last attempt that failed, for a person
    expires_at  INTEGER NOT NULL,                 -- what it says is over then: not sent any more
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX mail_of_user ON mail (user_id);
CREATE INDEX mail_old ON mail (created_at);
CREATE INDEX mail_expiring ON mail (expires_at) WHERE text_sealed IS NOT NULL;

-- Who of the staff did what to whom: written in the transaction of the deed (store/audit.h). Names are looked up, not kept.
CREATE TABLE audit (
    id          INTEGER NOT NULL PRIMARY KEY,
    at          INTEGER NOT NULL,
    actor_id    INTEGER,                          -- NULL: the command line, or the house itself
    action      TEXT    NOT NULL,                 -- 'user.role', 'settings.change' ...
    target_kind TEXT    NOT NULL,
    target_id   INTEGER,
    detail      TEXT    NOT NULL DEFAULT '{}'     -- JSON: what it was and what it became; never a secret
) STRICT;
CREATE TRIGGER audit_stays BEFORE UPDATE ON audit BEGIN
    SELECT RAISE(ABORT, 'the audit log is never rewritten');
END;
CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit BEGIN
    SELECT RAISE(ABORT, 'the audit log is never shortened');
END;

-- Settings that an admin changed in the running house: weaker than environment and flags, stronger than the file (base/config.h).
CREATE TABLE setting (
    name       TEXT    NOT NULL PRIMARY KEY,      -- 'section.key'
    value      TEXT    NOT NULL,                  -- as it would stand in the file; never a secret
    changed_by INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- ====================================================================================================================
-- Characters and lore
-- ====================================================================================================================

-- A character is a Character Card V3 (https://github.com/kwaroran/character-card-spec-v3) and a few columns of ours.
CREATE TABLE character (
    id                        INTEGER NOT NULL PRIMARY KEY,
    owner_id                  INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    name                      TEXT    NOT NULL,
    nickname                  TEXT    NOT NULL DEFAULT '',
    description               TEXT    NOT NULL DEFAULT '',
    personality               TEXT    NOT NULL DEFAULT '',
    scenario                  TEXT    NOT NULL DEFAULT '',
    first_mes                 TEXT    NOT NULL DEFAULT '',
    mes_example               TEXT    NOT NULL DEFAULT '',
    alternate_greetings       TEXT    NOT NULL DEFAULT '[]',  -- JSON array of texts
    group_only_greetings      TEXT    NOT NULL DEFAULT '[]',  -- likewise
    system_prompt             TEXT    NOT NULL DEFAULT '',
    post_history_instructions TEXT    NOT NULL DEFAULT '',
    creator_notes             TEXT    NOT NULL DEFAULT '',
    tags                      TEXT    NOT NULL DEFAULT '[]',  -- JSON array of texts, in the owner's order; character_tag is its index
    creator                   TEXT    NOT NULL DEFAULT '',
    character_version         TEXT    NOT NULL DEFAULT '',
    source                    TEXT    NOT NULL DEFAULT '[]',  -- JSON array of addresses
    extensions                TEXT    NOT NULL DEFAULT '{}',  -- JSON object, kept as it came
    unknown                   TEXT    NOT NULL DEFAULT '{}',  -- JSON object: members of an imported card that we have no name for, and where they stood
    tagline                   TEXT    NOT NULL DEFAULT '',
    visibility                TEXT    NOT NULL DEFAULT 'private' CHECK (visibility IN ('private', 'unlisted', 'public')),
    content_tier              TEXT    NOT NULL DEFAULT 'all_ages' CHECK (content_tier IN ('all_ages', 'mature', 'adult')),
    talkativeness             REAL    NOT NULL DEFAULT 0.5 CHECK (talkativeness BETWEEN 0 AND 1),
    voice                     TEXT    NOT NULL DEFAULT '',
    vrm_id                    INTEGER,
    model_settings            TEXT    NOT NULL DEFAULT '{}',  -- JSON object
    avatar_blob               TEXT,
    origin                    TEXT    NOT NULL DEFAULT 'created' CHECK (origin IN ('created', 'imported', 'starter', 'duplicate')),
    revision                  INTEGER NOT NULL DEFAULT 1,
    created_at                INTEGER NOT NULL,
    updated_at                INTEGER NOT NULL,
    deleted_at                INTEGER
) STRICT;
CREATE INDEX character_of_owner ON character (owner_id, id) WHERE deleted_at IS NULL;
-- What lists show, in the order of lists: a page reads one of these (or both, merged) and never the rows, whose cards may be long.
CREATE INDEX character_public ON character (id, owner_id, name, nickname, tagline, tags, creator, visibility, content_tier, avatar_blob, talkativeness,
    revision, created_at, updated_at) WHERE visibility = 'public' AND deleted_at IS NULL;
CREATE INDEX character_hidden ON character (owner_id, id, name, nickname, tagline, tags, creator, visibility, content_tier, avatar_blob, talkativeness,
    revision, created_at, updated_at) WHERE visibility <> 'public' AND deleted_at IS NULL;
CREATE INDEX character_picture ON character (avatar_blob) WHERE avatar_blob IS NOT NULL;
CREATE INDEX character_trash ON character (deleted_at) WHERE deleted_at IS NOT NULL;

-- Every save, whole: what can be compared and brought back. The newest row equals the character.
CREATE TABLE character_revision (
    character_id INTEGER NOT NULL REFERENCES character (id) ON DELETE CASCADE,
    revision     INTEGER NOT NULL,
    card         TEXT    NOT NULL,                -- JSON: the API's character object without what follows from the reader
    avatar_blob  TEXT,                            -- the card's, where an index can see it
    saved_by     INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    PRIMARY KEY (character_id, revision)
) STRICT, WITHOUT ROWID;
CREATE INDEX character_revision_picture ON character_revision (avatar_blob) WHERE avatar_blob IS NOT NULL;

CREATE TABLE character_tag (
    tag          TEXT    NOT NULL,                -- folded
    character_id INTEGER NOT NULL REFERENCES character (id) ON DELETE CASCADE,
    PRIMARY KEY (tag, character_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX character_tag_of ON character_tag (character_id);

CREATE TABLE favourite (
    user_id      INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    character_id INTEGER NOT NULL REFERENCES character (id) ON DELETE CASCADE,
    created_at   INTEGER NOT NULL,
    PRIMARY KEY (user_id, character_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX favourite_of_character ON favourite (character_id);

-- What people search characters by. Rebuilt from `character`; rowid = character.id; written by character_store.c with the character.
CREATE VIRTUAL TABLE character_words USING fts5 (
    name, nickname, tagline, tags, creator, description,
    tokenize = "unicode61 remove_diacritics 2", prefix = '2 3'
);
-- Names again as trigrams, for words that are typed wrong.
CREATE VIRTUAL TABLE character_trigrams USING fts5 (name, tags, tokenize = "trigram");

-- Documents that a character knows, as they were read: the file itself is not kept, its text is, in chunks.
CREATE TABLE knowledge_document (
    id           INTEGER NOT NULL PRIMARY KEY,
    character_id INTEGER NOT NULL REFERENCES character (id) ON DELETE CASCADE,
    name         TEXT    NOT NULL,                -- of the file, as it was sent
    bytes        INTEGER NOT NULL,                -- of the file
    chunk_count  INTEGER NOT NULL,
    added_by     INTEGER NOT NULL,
    created_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX knowledge_document_of ON knowledge_document (character_id, id);

CREATE TABLE knowledge_chunk (
    id           INTEGER NOT NULL PRIMARY KEY,
    document_id  INTEGER NOT NULL REFERENCES knowledge_document (id) ON DELETE CASCADE,
    character_id INTEGER NOT NULL,                -- of the document: a search asks for it
    place        INTEGER NOT NULL,
    heading      TEXT    NOT NULL,                -- "The harbour > The lighthouse"; '' before any heading
    content      TEXT    NOT NULL
) STRICT;
CREATE INDEX knowledge_chunk_of ON knowledge_chunk (document_id, place);
CREATE INDEX knowledge_chunk_by_character ON knowledge_chunk (character_id, id);
-- Words of the chunks; rowid = knowledge_chunk.id; written and removed with them by knowledge_store.c.
CREATE VIRTUAL TABLE knowledge_words USING fts5 (heading, content, tokenize = "porter unicode61 remove_diacritics 2");

CREATE TABLE lorebook (
    id                 INTEGER NOT NULL PRIMARY KEY,
    owner_id           INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    character_id       INTEGER REFERENCES character (id) ON DELETE CASCADE,  -- the character's own book
    name               TEXT    NOT NULL DEFAULT '',
    description        TEXT    NOT NULL DEFAULT '',
    scan_depth         INTEGER,                   -- messages that keys are looked for in; NULL: the house's default
    token_budget       INTEGER,                   -- NULL: the house's default
    recursive_scanning INTEGER NOT NULL DEFAULT 0 CHECK (recursive_scanning IN (0, 1)),
    extensions         TEXT    NOT NULL DEFAULT '{}',
    unknown            TEXT    NOT NULL DEFAULT '{}',
    created_at         INTEGER NOT NULL,
    updated_at         INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX lorebook_of_character ON lorebook (character_id) WHERE character_id IS NOT NULL;
CREATE INDEX lorebook_of_owner ON lorebook (owner_id, id);

CREATE TABLE lore_entry (
    id              INTEGER NOT NULL PRIMARY KEY,
    lorebook_id     INTEGER NOT NULL REFERENCES lorebook (id) ON DELETE CASCADE,
    place           INTEGER NOT NULL,             -- order in the book, for editing and export
    keys            TEXT    NOT NULL DEFAULT '[]',
    secondary_keys  TEXT    NOT NULL DEFAULT '[]',
    content         TEXT    NOT NULL DEFAULT '',
    name            TEXT    NOT NULL DEFAULT '',
    comment         TEXT    NOT NULL DEFAULT '',
    enabled         INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
    constant        INTEGER NOT NULL DEFAULT 0 CHECK (constant IN (0, 1)),        -- always in the prompt
    selective       INTEGER NOT NULL DEFAULT 0 CHECK (selective IN (0, 1)),       -- also needs a secondary key
    case_sensitive  INTEGER CHECK (case_sensitive IN (0, 1)),                     -- NULL: not said
    use_regex       INTEGER NOT NULL DEFAULT 0 CHECK (use_regex IN (0, 1)),
    insertion_order REAL    NOT NULL DEFAULT 100, -- lower stands earlier in the prompt
    priority        REAL,                         -- lower is dropped first when the budget is short; NULL: not said
    position        TEXT    CHECK (position IN ('before_char', 'after_char')),    -- NULL: not said
    extensions      TEXT    NOT NULL DEFAULT '{}',
    unknown         TEXT    NOT NULL DEFAULT '{}'
) STRICT;
CREATE INDEX lore_entry_of_book ON lore_entry (lorebook_id, place);

-- ====================================================================================================================
-- Models
-- ====================================================================================================================

CREATE TABLE model (
    id             INTEGER NOT NULL PRIMARY KEY,
    name           TEXT    NOT NULL UNIQUE,       -- what people see
    provider       TEXT    NOT NULL CHECK (provider IN ('openai', 'ollama', 'anthropic', 'understudy')),
    base_url       TEXT    NOT NULL DEFAULT '',
    model          TEXT    NOT NULL DEFAULT '',   -- the endpoint's name for it
    key_sealed     BLOB,                          -- API key under the key file, AES-256-GCM, context = 'model:<id>'
    context_tokens INTEGER NOT NULL DEFAULT 8192 CHECK (context_tokens >= 512),
    reply_tokens   INTEGER NOT NULL DEFAULT 1024 CHECK (reply_tokens >= 16),
    concurrency    INTEGER NOT NULL DEFAULT 0 CHECK (concurrency >= 0),  -- calls at once; 0: as many as come
    tokens_scale   REAL    NOT NULL DEFAULT 1.0,  -- corrects the estimate of tokens.c from reported usage
    is_enabled     INTEGER NOT NULL DEFAULT 1 CHECK (is_enabled IN (0, 1)),
    revision       INTEGER NOT NULL DEFAULT 1,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL
) STRICT;

-- A named, ordered list of models; 'default' answers when nothing else is said. The Understudy stands behind every route's end.
CREATE TABLE route (
    name     TEXT    NOT NULL,
    place    INTEGER NOT NULL,
    model_id INTEGER NOT NULL REFERENCES model (id) ON DELETE CASCADE,
    PRIMARY KEY (name, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX route_of_model ON route (model_id);

-- One row per call of a model.
CREATE TABLE usage (
    id              INTEGER NOT NULL PRIMARY KEY,
    user_id         INTEGER NOT NULL,
    conversation_id INTEGER,
    message_id      INTEGER,
    model_id        INTEGER,                      -- NULL: the Understudy
    task            TEXT    NOT NULL DEFAULT 'chat',
    outcome         TEXT    NOT NULL CHECK (outcome = 'complete' OR outcome = 'stopped' OR outcome = 'interrupted' OR outcome = 'failed'),
    prompt_tokens   INTEGER NOT NULL,
    reply_tokens    INTEGER NOT NULL,
    is_estimated    INTEGER NOT NULL CHECK (is_estimated IN (0, 1)),  -- the endpoint did not report; tokens.c counted
    first_token_ms  INTEGER,
    total_ms        INTEGER NOT NULL,
    created_at      INTEGER NOT NULL
) STRICT;
CREATE INDEX usage_of_user ON usage (user_id, created_at);
CREATE INDEX usage_of_model ON usage (model_id, created_at);

-- ====================================================================================================================
-- Finding by meaning: the vectors themselves are in LMDB (store/vector.h), made again from here at any time
-- ====================================================================================================================

-- What makes vectors of texts. At most one is in use and at most one is being built; a retired one waits for its vectors to be removed.
CREATE TABLE encoder (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,  -- never used twice: it is part of every vector's key
    provider   TEXT    NOT NULL CHECK (provider IN ('none', 'builtin', 'openai', 'ollama')),  -- 'none': words alone, as an admin chose
    base_url   TEXT    NOT NULL DEFAULT '',
    model      TEXT    NOT NULL DEFAULT '',       -- the endpoint's name for it
    key_sealed BLOB,                              -- API key under the key file, AES-256-GCM, context = 'encoder:<base_url>'
    dims       INTEGER NOT NULL DEFAULT 0,        -- width of its vectors; 0: not known before the first
    slot       INTEGER NOT NULL CHECK (slot IN (0, 1)),  -- where digests of its vectors are kept; the one in use and the one being built differ
    state      TEXT    NOT NULL CHECK (state IN ('active', 'building', 'retired')),
    created_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX encoder_live ON encoder (state) WHERE state IN ('active', 'building');
CREATE INDEX encoder_state ON encoder (state);

-- Items whose words or vectors are not yet what the truth says: model/index.h.
-- What was touched by a person's write waits here for its words, in order: the write pays for one row at the end of one tree.
CREATE TABLE index_touch (
    change   INTEGER NOT NULL PRIMARY KEY,
    kind     TEXT    NOT NULL,                    -- index_kind.name
    item     INTEGER NOT NULL,
    space    INTEGER NOT NULL,                    -- as in index_queue
    group_id INTEGER NOT NULL                     -- as in index_queue
) STRICT;
-- What waits for its vectors, and words that could not be written at once or are made anew.
CREATE TABLE index_queue (
    change     INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,  -- grows with every touch: who ends a row ends this change, not a later one
    kind       TEXT    NOT NULL,                  -- index_kind.name; 'space': everything of the space `item` goes
    item       INTEGER NOT NULL,
    encoder_id INTEGER NOT NULL,                  -- whose vectors are to be made; 0: first the words
    space      INTEGER NOT NULL,                  -- where its vectors may be now
    group_id   INTEGER NOT NULL,                  -- what pending work is counted by
    attempts   INTEGER NOT NULL DEFAULT 0,        -- that failed
    due_at     INTEGER NOT NULL                   -- 0: at once; 1: when nothing of 0 waits; else after a failure, not before this moment
) STRICT;
CREATE UNIQUE INDEX index_queue_item ON index_queue (kind, item, encoder_id);
CREATE INDEX index_queue_due ON index_queue (encoder_id, due_at);
CREATE INDEX index_queue_group ON index_queue (group_id, encoder_id);

-- Rebuilds under way: everything that there is goes into the queue, kind by kind.
CREATE TABLE index_rebuild (
    encoder_id INTEGER NOT NULL PRIMARY KEY,      -- as in index_queue; 0: words, then the vectors of every encoder
    kind       TEXT,                              -- that is being listed; NULL: all are in the queue
    after      INTEGER NOT NULL DEFAULT 0,        -- its items up to this one are listed
    total      INTEGER NOT NULL DEFAULT 0         -- items listed so far, of all kinds
) STRICT;

-- ====================================================================================================================
-- Conversations
-- ====================================================================================================================

CREATE TABLE conversation (
    id              INTEGER NOT NULL PRIMARY KEY,
    owner_id        INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    title           TEXT    NOT NULL DEFAULT '',
    persona_id      INTEGER REFERENCES persona (id) ON DELETE SET NULL,   -- NULL: the person's default
    mode            TEXT    NOT NULL DEFAULT 'single' CHECK (mode IN ('single', 'group')),
    settings        TEXT    NOT NULL DEFAULT '{}',                       -- JSON: author's note, scenario override, sampler; see conversation.c
    head_id         INTEGER,                                             -- the last message of the path that is shown
    from_conversation_id INTEGER,                                        -- branched off from there ...
    from_message_id INTEGER,                                             -- ... at this message
    pinned          INTEGER NOT NULL DEFAULT 0 CHECK (pinned IN (0, 1)),
    archived        INTEGER NOT NULL DEFAULT 0 CHECK (archived IN (0, 1)),
    unread          INTEGER NOT NULL DEFAULT 0,                          -- replies finished while nobody was there
    last_line       TEXT    NOT NULL DEFAULT '',                         -- the beginning of the newest message
    last_message_at INTEGER NOT NULL,
    revision        INTEGER NOT NULL DEFAULT 1,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    deleted_at      INTEGER
) STRICT;
CREATE INDEX conversation_of_owner ON conversation (owner_id, pinned, last_message_at, id) WHERE deleted_at IS NULL;
CREATE INDEX conversation_of_persona ON conversation (persona_id) WHERE persona_id IS NOT NULL;  -- for ON DELETE SET NULL
CREATE INDEX conversation_trash ON conversation (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE conversation_character (
    conversation_id INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    place           INTEGER NOT NULL,
    character_id    INTEGER NOT NULL,             -- stays when the character is gone: the talk does not vanish with it
    name            TEXT    NOT NULL,             -- the character's name then, for when it is gone
    PRIMARY KEY (conversation_id, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX conversation_of_character ON conversation_character (character_id);

-- Messages are a tree. A branch is a stretch of it without a fork: the messages of a branch follow one another by id, and a branch begins
-- after message `fork_message_id` of its parent branch. So a page of a talk is one walk along one index, and only a page that
-- crosses a fork needs a second one.
CREATE TABLE branch (
    id              INTEGER NOT NULL PRIMARY KEY,
    conversation_id INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    parent_id       INTEGER REFERENCES branch (id),
    fork_message_id INTEGER,                      -- NULL for the trunk
    created_at      INTEGER NOT NULL
) STRICT;
CREATE INDEX branch_of_parent ON branch (parent_id) WHERE parent_id IS NOT NULL;  -- for deleting a whole conversation
CREATE INDEX branch_of_conversation ON branch (conversation_id, id);

CREATE TABLE message (
    id              INTEGER NOT NULL PRIMARY KEY,
    conversation_id INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    branch_id       INTEGER NOT NULL REFERENCES branch (id),
    parent_id       INTEGER,                      -- the message before; NULL at the root
    parent_variant  INTEGER,                      -- which variant of the parent this one follows
    role            TEXT    NOT NULL CHECK (role = 'user' OR role = 'assistant' OR role = 'system'),
    author_kind     TEXT    NOT NULL CHECK (author_kind = 'user' OR author_kind = 'character' OR author_kind = 'system'),
    author_id       INTEGER,                      -- user or character
    author_name     TEXT    NOT NULL,             -- as it was then: persona or character name
    chosen          INTEGER NOT NULL DEFAULT 0,   -- index of the variant that is shown
    variant_count   INTEGER NOT NULL DEFAULT 1,
    hidden          INTEGER NOT NULL DEFAULT 0 CHECK (hidden IN (0, 1)),  -- shown to people, not to the model
    external_id     TEXT,                         -- the sender's own key, of an import
    extra           TEXT,                         -- what else the sender had with it: JSON object, kept for the way back
    revision        INTEGER NOT NULL DEFAULT 1,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    deleted_at      INTEGER
) STRICT;
CREATE INDEX message_of_branch ON message (branch_id, id);
CREATE INDEX message_after ON message (parent_id, parent_variant, id);
CREATE INDEX message_of_conversation ON message (conversation_id, id);
CREATE INDEX message_trash ON message (deleted_at) WHERE deleted_at IS NOT NULL;

-- The texts of a message: one, or several that can be swiped through. Each is durable by itself.
CREATE TABLE variant (
    message_id    INTEGER NOT NULL REFERENCES message (id) ON DELETE CASCADE,
    place         INTEGER NOT NULL,               -- 0, 1, 2 ...
    state         TEXT    NOT NULL DEFAULT 'complete' CHECK (state = 'streaming' OR state = 'complete' OR state = 'stopped' OR state = 'interrupted' OR state = 'failed'),
    content       TEXT    NOT NULL,
    reasoning     TEXT,
    model         TEXT,                           -- name of the model that spoke
    finish_reason TEXT,
    prompt_tokens INTEGER,
    reply_tokens  INTEGER,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    PRIMARY KEY (message_id, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX variant_streaming ON variant (message_id) WHERE state = 'streaming';  -- what a crash leaves to be marked

-- What a text was before it was changed, and texts that came too late (a stale tab): nothing that somebody wrote is lost.
CREATE TABLE message_revision (
    message_id INTEGER NOT NULL REFERENCES message (id) ON DELETE CASCADE,
    place      INTEGER NOT NULL,                  -- the variant
    revision   INTEGER NOT NULL,                  -- the message's revision at that time
    kind       TEXT    NOT NULL CHECK (kind IN ('before_edit', 'before_continue', 'refused')),
    content    TEXT    NOT NULL,
    saved_by   INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX message_revision_of ON message_revision (message_id, created_at);

-- The prompt of every reply, as it was sent: parts with token counts, lore and why it fired. JSON, deflated.
CREATE TABLE prompt (
    message_id INTEGER NOT NULL REFERENCES message (id) ON DELETE CASCADE,
    place      INTEGER NOT NULL,
    record     BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (message_id, place)
) STRICT, WITHOUT ROWID;

-- ====================================================================================================================
-- Memory
-- ====================================================================================================================

-- What was said, as recall finds it: a row for each message that may be remembered, made from `message` and `variant` and at any time again
-- (memory/turn_store.c). Hidden, deleted, unfinished and withheld messages have none.
CREATE TABLE memory_turn (
    message_id      INTEGER NOT NULL PRIMARY KEY REFERENCES message (id) ON DELETE CASCADE,
    conversation_id INTEGER NOT NULL,
    branch_id       INTEGER NOT NULL,
    previous_id     INTEGER,                      -- the turn before it on its path; NULL: it is the first
    side            INTEGER NOT NULL CHECK (side IN (0, 1)),  -- 0: a person speaks, 1: a character
    speaker_id      INTEGER NOT NULL,             -- user or character
    speaker_name    TEXT    NOT NULL,             -- as it was then
    said_at         INTEGER NOT NULL,
    is_question     INTEGER NOT NULL CHECK (is_question IN (0, 1)),  -- ends with a question mark
    has_time        INTEGER NOT NULL CHECK (has_time IN (0, 1)),     -- says when something is
    has_number      INTEGER NOT NULL CHECK (has_number IN (0, 1)),
    text            TEXT    NOT NULL,             -- of the chosen variant
    scope           TEXT    NOT NULL,             -- conversation_id again, as a word: so that a search walks through one talk's postings and no others
    turn_norm_0     REAL,                         -- length of the mean of its sentences' vectors, by encoder.slot; NULL: no vectors yet
    pair_norm_0     REAL,                         -- length of its own vector and the previous turn's together; negative: assumed, that one has none yet
    turn_norm_1     REAL,
    pair_norm_1     REAL
) STRICT;
-- All that scoring needs, without the texts.
CREATE INDEX memory_turn_of_conversation ON memory_turn (conversation_id, message_id, branch_id, side, speaker_id, speaker_name, said_at,
    is_question, has_time, has_number, turn_norm_0, pair_norm_0, turn_norm_1, pair_norm_1);
-- Their words; rowid = message_id; written with the row by turn_store.c (FTS5 in a trigger needs a schema that is trusted, and ours is not).
CREATE VIRTUAL TABLE memory_words USING fts5 (
    text, scope, content = 'memory_turn', content_rowid = 'message_id', columnsize = 0, tokenize = "porter unicode61 remove_diacritics 2"
);

-- What was learnt (memory/fact_store.c, summary_store.c, progress_store.c, forget_store.c). Every change here runs with freed pages overwritten, so that what is forgotten is in no file.
-- One thing that is remembered, as a plain sentence. What contradicts it does not overwrite it: it is closed and points to what came after.
-- Facts have no table of words: the few of a talk are read whole and compared in memory (learnt.c), and what is in no index need not be got out of it when it is forgotten.
CREATE TABLE memory_fact (
    id              INTEGER NOT NULL PRIMARY KEY,
    user_id         INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    character_id    INTEGER NOT NULL,             -- who remembers it
    conversation_id INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,  -- where it was learnt
    kind            TEXT    NOT NULL CHECK (kind IN ('fact', 'preference', 'relationship', 'event')),
    subject         TEXT    NOT NULL,             -- 'user', 'character', or a name
    predicate       TEXT    NOT NULL,             -- a key: 'lives_in', 'likes' ...; fact_compare.c knows which have one value only
    object          TEXT    NOT NULL DEFAULT '',  -- the value as it was said: 'Bristol'
    identity        TEXT    NOT NULL,             -- subject, predicate and stems of the object: equal for what is the same
    text            TEXT    NOT NULL,             -- a sentence: 'Mia lives in Bristol.'
    importance      REAL    NOT NULL CHECK (importance BETWEEN 0 AND 1),
    confidence      REAL    NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    valid_from      INTEGER NOT NULL,             -- when it was said to be so
    valid_to        INTEGER,                      -- since when it is not so any more
    superseded_by   INTEGER REFERENCES memory_fact (id) ON DELETE SET NULL,
    state           TEXT    NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'proposed', 'superseded')),
    pinned          INTEGER NOT NULL DEFAULT 0 CHECK (pinned IN (0, 1)),
    uses            INTEGER NOT NULL DEFAULT 0,   -- prompts in which it stood
    last_used_at    INTEGER,
    made_by         TEXT    NOT NULL CHECK (made_by IN ('model', 'rules', 'person')),
    revision        INTEGER NOT NULL DEFAULT 1,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
) STRICT;
CREATE INDEX memory_fact_of_conversation ON memory_fact (conversation_id, id);
CREATE INDEX memory_fact_of_pair ON memory_fact (user_id, character_id, id);
CREATE INDEX memory_fact_before ON memory_fact (superseded_by) WHERE superseded_by IS NOT NULL;

-- Where it was said.
CREATE TABLE memory_source (
    fact_id    INTEGER NOT NULL REFERENCES memory_fact (id) ON DELETE CASCADE,
    message_id INTEGER NOT NULL REFERENCES message (id) ON DELETE CASCADE,
    PRIMARY KEY (fact_id, message_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX memory_source_of_message ON memory_source (message_id, fact_id);

-- A stretch of the talk that can be told as one thing: what the timeline shows.
CREATE TABLE memory_episode (
    id              INTEGER NOT NULL PRIMARY KEY,
    user_id         INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    character_id    INTEGER NOT NULL,
    conversation_id INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    title           TEXT    NOT NULL,
    text            TEXT    NOT NULL,
    mood            TEXT    NOT NULL DEFAULT '',  -- one word
    started_at      INTEGER NOT NULL,
    ended_at        INTEGER NOT NULL,
    covers_from     INTEGER NOT NULL,             -- first and last message
    covers_to       INTEGER NOT NULL,
    importance      REAL    NOT NULL CHECK (importance BETWEEN 0 AND 1),
    is_stale        INTEGER NOT NULL DEFAULT 0 CHECK (is_stale IN (0, 1)),
    made_by         TEXT    NOT NULL CHECK (made_by IN ('model', 'rules', 'person')),
    revision        INTEGER NOT NULL DEFAULT 1,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
) STRICT;
CREATE INDEX memory_episode_of_conversation ON memory_episode (conversation_id, covers_from);

-- What has been so far. recent: the last stretch; full: everything up to covers_to; relationship: how the two stand.
CREATE TABLE memory_summary (
    id              INTEGER NOT NULL PRIMARY KEY,
    conversation_id INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    kind            TEXT    NOT NULL CHECK (kind IN ('recent', 'full', 'relationship')),
    text            TEXT    NOT NULL,
    covers_from     INTEGER NOT NULL,             -- first and last message
    covers_to       INTEGER NOT NULL,
    is_edited       INTEGER NOT NULL DEFAULT 0 CHECK (is_edited IN (0, 1)),  -- a person wrote it: new things are added, nothing is rewritten
    own_bytes       INTEGER NOT NULL DEFAULT 0 CHECK (own_bytes >= 0),  -- of an edited one: so much of its beginning is what that person wrote
    is_stale        INTEGER NOT NULL DEFAULT 0 CHECK (is_stale IN (0, 1)),   -- a covered message has changed since
    made_by         TEXT    NOT NULL CHECK (made_by IN ('model', 'rules', 'person')),
    revision        INTEGER NOT NULL DEFAULT 1,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX memory_summary_of_conversation ON memory_summary (conversation_id, kind);

-- How far learning has come in a conversation, and how the two stand with each other.
CREATE TABLE memory_progress (
    conversation_id INTEGER NOT NULL PRIMARY KEY REFERENCES conversation (id) ON DELETE CASCADE,
    waiting         INTEGER NOT NULL DEFAULT 0,   -- messages said since the last extraction
    queued          INTEGER NOT NULL DEFAULT 0,   -- a job is on its way
    learnt_to       INTEGER NOT NULL DEFAULT 0,   -- the newest message that was extracted
    summed_to       INTEGER NOT NULL DEFAULT 0,   -- the newest message that the summaries cover
    again_from      INTEGER NOT NULL DEFAULT 0,   -- messages that changed after they were learnt from: looked at again
    again_to        INTEGER NOT NULL DEFAULT 0,
    status          TEXT    NOT NULL DEFAULT 'strangers',  -- what the two are: 'friends', 'partners' ...
    closeness       REAL    NOT NULL DEFAULT 0 CHECK (closeness BETWEEN 0 AND 1),
    mood            TEXT    NOT NULL DEFAULT '',
    made_by         TEXT    NOT NULL DEFAULT 'rules' CHECK (made_by IN ('model', 'rules', 'person')),
    updated_at      INTEGER NOT NULL DEFAULT 0
) STRICT;

-- What was forgotten does not come back: digests of identities, and messages that nothing is learnt from or recalled of any more.
CREATE TABLE memory_forgotten (
    conversation_id INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    digest          BLOB    NOT NULL,             -- SHA-256 of the conversation's id and the identity; the text is nowhere
    PRIMARY KEY (conversation_id, digest)
) STRICT, WITHOUT ROWID;
CREATE TABLE memory_withheld (
    message_id      INTEGER NOT NULL PRIMARY KEY REFERENCES message (id) ON DELETE CASCADE,
    conversation_id INTEGER NOT NULL
) STRICT;

PRAGMA user_version = 1;
