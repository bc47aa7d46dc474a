CREATE TABLE IF NOT EXISTS series (
    series_id INTEGER PRIMARY KEY,
    instrument TEXT NOT NULL,
    timeframe TEXT NOT NULL,
    price_scale INTEGER NOT NULL CHECK (price_scale BETWEEN 0 AND 12),
    volume_scale INTEGER NOT NULL CHECK (volume_scale BETWEEN 0 AND 12),
    updated_at_ms INTEGER NOT NULL,
    UNIQUE (instrument, timeframe)
) STRICT;
