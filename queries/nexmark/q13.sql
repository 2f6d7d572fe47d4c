-- Every bid with what a table of reference says of its auction.
SELECT b.auction, b.bidder, b.price, b.date_time, s.value
FROM bid AS b JOIN side_input AS s ON b.auction % 100 = s.key;
