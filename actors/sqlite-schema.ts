import type { DatabaseSync } from 'node:sqlite';

/**
 * The tables, as an ordered list of steps: step n brings schema n to n + 1. A step that has been released is never
 * changed; a new one is added (contract, promise 16).
 *
 * `log` is what a commit appends; everything below it but `keys` and `audit` is filled from the log by `apply`. Small columns stand before
 * large ones, so that a filter does not read the pages of the text behind it.
 */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE log (id INTEGER PRIMARY KEY, text TEXT NOT NULL);
  CREATE TABLE shards (
    shard INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL,
    turn INTEGER NOT NULL,
    read TEXT NOT NULL,  -- JSON: sender to number
    sent TEXT NOT NULL   -- JSON: receiving shard to number
  );
  CREATE TABLE actors (
    session TEXT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    shard INTEGER NOT NULL,
    version INTEGER NOT NULL,
    state TEXT NOT NULL,
    done INTEGER NOT NULL,
    deadline INTEGER,    -- milliseconds since the epoch
    waits TEXT,
    label TEXT,
    context TEXT NOT NULL
  );
  CREATE UNIQUE INDEX actors_by_address ON actors (session, kind, id);
  CREATE INDEX actors_by_id ON actors (id);
  CREATE INDEX actors_live ON actors (session) WHERE done = 0;
  CREATE INDEX actors_waking ON actors (shard) WHERE done = 0 AND (deadline IS NOT NULL OR waits IS NOT NULL);
  CREATE INDEX actors_by_label ON actors (kind, label, id) WHERE label IS NOT NULL;
  CREATE TABLE sessions (
    session TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,        -- the last given
    remembered INTEGER NOT NULL  -- how many answers were ever remembered
  ) WITHOUT ROWID;
  CREATE TABLE events (
    session TEXT NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    types TEXT NOT NULL, -- one word an event, joined by spaces
    text TEXT NOT NULL   -- one line of JSON an event
  );
  CREATE UNIQUE INDEX events_by_session ON events (session, first);
  CREATE TABLE remembered (
    session TEXT NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    text TEXT NOT NULL   -- two lines an answer: [key, time in ms] and the answer
  );
  CREATE UNIQUE INDEX remembered_by_session ON remembered (session, first);
  CREATE TABLE outbox (
    receiver INTEGER NOT NULL,
    sender INTEGER NOT NULL,
    n INTEGER NOT NULL,
    key TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (receiver, sender, n)
  ) WITHOUT ROWID;
  CREATE TABLE keys (
    id TEXT PRIMARY KEY,
    principal TEXT NOT NULL,
    operator INTEGER NOT NULL,
    hash TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
  ) WITHOUT ROWID;
  `,
  `
  CREATE TABLE audit (
    n INTEGER PRIMARY KEY, -- dense from 1
    text TEXT NOT NULL,    -- JSON
    mac TEXT NOT NULL      -- hexadecimal; what chains it to the record before
  );
  CREATE TABLE aliases (
    alias TEXT PRIMARY KEY,
    session TEXT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL
  ) WITHOUT ROWID;
  `,
  // Deadlines are read in windows, in the order of this index and from it alone; what waits is rare.
  `
  DROP INDEX actors_waking;
  CREATE INDEX actors_by_deadline ON actors (shard, deadline, session, kind, id)
    WHERE done = 0 AND deadline IS NOT NULL;
  CREATE INDEX actors_waiting ON actors (shard) WHERE done = 0 AND waits IS NOT NULL;
  `,
  `
  -- Times in milliseconds since the epoch, for retention: when an actor ended, and the newest in a row. Those of a
  -- session's events never fall, whatever the wall did, so that what is dropped is the head of its log.
  ALTER TABLE actors ADD COLUMN ended INTEGER;
  ALTER TABLE sessions ADD COLUMN until INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE events ADD COLUMN until INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE remembered ADD COLUMN until INTEGER NOT NULL DEFAULT 0;
  -- What says nothing of its time counts from now on.
  UPDATE actors SET ended = CAST(coalesce(
      CASE WHEN json_valid(context) THEN coalesce(
        json_extract(context, '$.ended_at'), json_extract(context, '$.closed_at'), json_extract(context, '$.left_at'))
      END, unixepoch('subsec') * 1000) AS INTEGER)
    WHERE done = 1;
  UPDATE events SET until = CAST(coalesce(
      CASE WHEN json_valid('[' || replace(text, char(10), ',') || ']')
        THEN unixepoch(json_extract('[' || replace(text, char(10), ',') || ']', '$[#-1].timestamp'), 'subsec')
      END, unixepoch('subsec')) * 1000 AS INTEGER);
  UPDATE events SET until = risen.until
    FROM (SELECT rowid AS id, max(until) OVER (PARTITION BY session ORDER BY first) AS until FROM events) AS risen
    WHERE risen.id = events.rowid;
  UPDATE sessions SET until = coalesce((SELECT max(until) FROM events WHERE events.session = sessions.session), 0);
  UPDATE remembered SET until = CAST(coalesce(
      CASE WHEN json_valid('[' || replace(text, char(10), ',') || ']')
        THEN json_extract('[' || replace(text, char(10), ',') || ']', '$[#-2][1]')
      END, unixepoch('subsec') * 1000) AS INTEGER);
  CREATE INDEX actors_ended ON actors (ended) WHERE ended IS NOT NULL;
  CREATE INDEX events_by_time ON events (until);
  CREATE INDEX remembered_by_time ON remembered (until);
  CREATE INDEX aliases_by_actor ON aliases (session, kind, id);
  -- Sessions that are being removed, a part at a time.
  CREATE TABLE leaving (session TEXT PRIMARY KEY) WITHOUT ROWID;
  -- Executions that are no more and whose artifacts still have to go.
  CREATE TABLE unlinking (execution TEXT PRIMARY KEY) WITHOUT ROWID;
  -- At most one row: what the chain of the audit begins at, once records were pruned.
  CREATE TABLE checkpoint (n INTEGER PRIMARY KEY, mac TEXT NOT NULL, seal TEXT NOT NULL);
  `,
];

/** The schema a database has; 0 for an empty one. */
export const schemaOf = (db: DatabaseSync): number => {
  const meta = db.prepare(`SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'meta'`).get();
  if (meta === undefined) return 0;
  const row = db.prepare(`SELECT value FROM meta WHERE name = 'schema'`).get();
  return Number(row?.['value'] ?? 0);
};

/** When the last turn in the tables was taken, in milliseconds since the epoch; 0 before the first. */
export const latestTurn = (db: DatabaseSync): number =>
  Number(db.prepare(`SELECT value FROM meta WHERE name = 'at'`).get()?.['value'] ?? 0);

/** Brings a database to the newest schema, in one transaction. Throws a `RangeError` for one newer than this release. */
export const migrate = (db: DatabaseSync): void => {
  const schema = schemaOf(db);
  if (schema > MIGRATIONS.length) {
    throw new RangeError(
      `its schema is ${schema}, this release knows up to ${MIGRATIONS.length}: it was written by a newer one`,
    );
  }
  if (schema === MIGRATIONS.length) return;
  db.exec('BEGIN IMMEDIATE');
  if (schema === 0) {
    db.exec('CREATE TABLE meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID');
    db.prepare(`INSERT INTO meta VALUES ('created', ?)`).run(new Date().toISOString());
  }
  for (const step of MIGRATIONS.slice(schema)) db.exec(step);
  db.prepare(`INSERT OR REPLACE INTO meta VALUES ('schema', ?)`).run(MIGRATIONS.length);
  db.exec('COMMIT');
};
