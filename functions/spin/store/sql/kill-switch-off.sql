-- The execution kill switch, turned off by a person. After documents.sql:
--   spin up --sqlite @functions/spin/store/sql/documents.sql --sqlite @functions/spin/store/sql/kill-switch-off.sql
INSERT INTO documents (collection, id, revision, updated_at_ms, body)
VALUES ('ops', 'execution_kill_switch', 1, CAST(strftime('%s', 'now') AS INTEGER) * 1000,
    '{"enabled":false,"reason":"turned off with kill-switch-off.sql"}')
ON CONFLICT DO UPDATE SET
    revision = revision + 1, updated_at_ms = excluded.updated_at_ms, body = excluded.body;
