-- Large bids, with the part of the day and the number of c in the text.
SELECT auction, bidder, 0.908 * price AS price,
       CASE WHEN date_part('hour', date_time) BETWEEN 8 AND 18 THEN 'day'
            WHEN date_part('hour', date_time) <= 6 OR date_part('hour', date_time) >= 20 THEN 'night'
            ELSE 'other' END AS part_of_day,
       date_time, extra, length(extra) - length(replace(extra, 'c', '')) AS n_c
FROM bid
WHERE 0.908 * price > 1000000 AND 0.908 * price < 50000000;
