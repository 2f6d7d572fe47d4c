-- When does a still picture start to move, and how much at most until it is still again?
SELECT moves_at, still_at, frames, round(most, 2) AS most
FROM (SELECT ts, motion(frame) AS moved FROM clip) MATCH_RECOGNIZE (
    ORDER BY ts
    MEASURES first(moving.ts) AS moves_at, still.ts AS still_at, count(moving.*) AS frames, max(moving.moved) AS most
    PATTERN (moving{5,} still)
    DEFINE moving AS moving.moved > 0.02, still AS still.moved <= 0.02)
ORDER BY moves_at;
