-- How many bids had each auction each day, and of what height?
-- EMIT CHANGES
SELECT auction, to_char(date_time, '%Y-%m-%d') AS day,
       count(*) AS bids,
       count(*) FILTER (WHERE price < 10000) AS low,
       count(*) FILTER (WHERE price >= 10000 AND price < 1000000) AS middle,
       count(*) FILTER (WHERE price >= 1000000) AS high,
       min(price) AS lowest, max(price) AS highest, avg(price) AS average, sum(price) AS total
FROM bid
GROUP BY auction, to_char(date_time, '%Y-%m-%d');
