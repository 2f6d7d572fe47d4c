-- What is bid for every hundred and twenty-third auction?
SELECT auction, price FROM bid WHERE auction % 123 = 0;
