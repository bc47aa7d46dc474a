CREATE TABLE IF NOT EXISTS bars (
    series_id INTEGER NOT NULL,
    open_time_ms INTEGER NOT NULL,
    open INTEGER NOT NULL,
    high INTEGER NOT NULL,
    low INTEGER NOT NULL,
    close INTEGER NOT NULL,
    volume INTEGER NOT NULL,
    revision INTEGER NOT NULL CHECK (revision >= 1),
    PRIMARY KEY (series_id, open_time_ms)
) STRICT, WITHOUT ROWID;
