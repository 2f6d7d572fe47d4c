// node postgres (postgres.js) against the server: tagged templates, types, cursors, transactions, pipelines, COPY, notifications, cancel.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const load = createRequire(`${process.env.NODE_DRIVERS}/`);
const postgres = load("postgres");
console.log(`version ${JSON.parse(readFileSync(`${process.env.NODE_DRIVERS}/postgres/package.json`)).version}`);
let passed = 0;
let failed = 0;

async function check(name, body) {
    try {
        await body();
        passed += 1;
        console.log(`ok      ${name}`);
    } catch (error) {
        failed += 1;
        console.log(`FAILED  ${name}: ${error.message.split("\n").join(" ")}`);
    }
}

const options = { connect_timeout: 5, max: 4, onnotice: () => {} };
const sql = postgres(options);

await check("types", async () => {
    const [row] = await sql`SELECT frame_no, ts, keyframe, width, source, frame FROM clip WHERE frame_no = 1`;
    assert.deepEqual({ ...row }, { frame_no: "1", ts: new Date(40), keyframe: false, width: 1280, source: "clip", frame: "clip#1 1280x720" });
    const [face] = await sql`SELECT face.box, face.score FROM clip CROSS JOIN UNNEST(detect_faces(frame)) AS face WHERE frame_no = 60`;
    assert.deepEqual(Object.keys(face.box).sort(), ["h", "w", "x", "y"]);
    const [{ picture }] = await sql`SELECT jpeg(frame, 64) AS picture FROM clip WHERE frame_no = 0`;
    assert.equal(picture.subarray(0, 2).toString("hex"), "ffd8");
    const [others] = await sql`SELECT NULL::int4 AS nothing, ARRAY[1, 2]::int4[] AS list, '2026-05-01'::date AS day, true AS yes`;
    assert.deepEqual({ ...others }, { nothing: null, list: [1, 2], day: new Date("2026-05-01"), yes: true });
});

await check("numeric", async () => {
    assert.deepEqual([...(await sql`SELECT 1.25::numeric AS n, 1.5::numeric(6, 3) AS m`)].map((row) => [row.n, row.m]), [["1.25", "1.500"]]);
});

await check("parameters of every kind", async () => {
    const [{ n }] = await sql`SELECT count(*) AS n FROM clip WHERE frame_no < ${10} AND source = ${"clip"}`;
    assert.equal(n, "10");
    const rows = await sql`SELECT window_start, frames FROM whole WHERE window_start >= ${new Date(10_000)} ORDER BY 1`;
    assert.deepEqual(rows.map((row) => row.frames), ["25", "25"]);
    assert.equal((await sql`SELECT frame_no FROM clip WHERE frame_no = ANY(${[3, 5]}) ORDER BY 1`).length, 2);
    assert.equal((await sql`SELECT frame_no FROM clip WHERE frame_no IN ${sql([3, 5, 7])}`).length, 3);
    assert.deepEqual((await sql`SELECT ${sql.json({ a: [1] })}::jsonb AS j`)[0].j, { a: [1] });
    assert.deepEqual((await sql`SELECT ${sql("frame_no")} FROM ${sql("clip")} WHERE frame_no = 2`)[0], { frame_no: "2" });
});

await check("describe", async () => {
    const found = await sql`SELECT frame_no, ts FROM clip WHERE frame_no = ${1} AND source = ${"x"}`.describe();
    assert.deepEqual(found.types, [20, 25]);
    assert.deepEqual(found.columns.map((column) => column.name), ["frame_no", "ts"]);
});

await check("a cursor", async () => {
    const sizes = [];
    for await (const rows of sql`SELECT frame_no FROM clip ORDER BY 1`.cursor(70)) {
        sizes.push(rows.length);
    }
    assert.deepEqual(sizes, [70, 70, 70, 70, 20]);
});

await check("a transaction with a savepoint, and one that fails", async () => {
    const found = await sql.begin("read only", async (block) => {
        await block.savepoint((inner) => inner`SELECT 1/0`).catch((error) => assert.equal(error.code, "22012"));
        return block`SELECT sum(frames) AS n FROM whole`;
    });
    assert.equal(found[0].n, "300");
    await assert.rejects(sql.begin((block) => block`SELECT * FROM nothing`), { code: "42P01" });
    assert.equal((await sql`SELECT 'on' AS a`)[0].a, "on");
});

await check("many at once on one connection", async () => {
    const single = postgres({ ...options, max: 1 });
    const rows = await Promise.all(Array.from({ length: 100 }, (_, n) => single`SELECT ${n}::int4 AS n, count(*) AS windows FROM whole`));
    assert.deepEqual(rows.map(([row]) => [row.n, row.windows]), Array.from({ length: 100 }, (_, n) => [n, "12"]));
    await single.end();
});

await check("several statements at once", async () => {
    const results = await sql.unsafe("SELECT 'first' AS a; SELECT 'second' AS a").simple();
    assert.deepEqual(results.map((rows) => rows[0].a), ["first", "second"]);
});

await check("inserted and updated by helpers", async () => {
    await sql`CREATE TABLE notes (id int8 PRIMARY KEY, text varchar(20), at timestamptz)`;
    const rows = [1, 2, 3].map((id) => ({ id, text: `n${id}`, at: new Date(0) }));
    assert.equal((await sql`INSERT INTO notes ${sql(rows)}`).count, 3);
    assert.equal((await sql`UPDATE notes SET ${sql({ text: "x" })} WHERE id = ${2}`).count, 1);
    await assert.rejects(sql`INSERT INTO notes (id) VALUES (1)`, { code: "23505" });
    assert.deepEqual((await sql`SELECT text FROM notes ORDER BY id`).map((row) => row.text), ["n1", "x", "n3"]);
});

await check("COPY both ways", async () => {
    const writable = await sql`COPY notes (id, text) FROM STDIN`.writable();
    await new Promise((done, broken) => {
        writable.on("error", broken).on("finish", done);
        writable.write("7\tseven\n");
        writable.end("8\teight\n");
    });
    let text = "";
    for await (const part of await sql`COPY (SELECT id, text FROM notes WHERE id > 6 ORDER BY id) TO STDOUT`.readable()) {
        text += part;
    }
    assert.equal(text, "7\tseven\n8\teight\n");
    await sql`DROP TABLE notes`;
});

await check("LISTEN and NOTIFY", async () => {
    let heard;
    const said = new Promise((done) => (heard = done));
    const { unlisten } = await sql.listen("gate", heard);
    await sql.notify("gate", "opened");
    assert.equal(await said, "opened");
    await unlisten();
});

await check("cancel", async () => {
    const other = postgres({ ...options, max: 1 });
    const [{ pid }] = await other`SELECT pg_backend_pid() AS pid`;
    const query = other`SELECT pg_sleep(30)`;
    const ended = query.execute().then(() => "done", (error) => error.code);
    for (let n = 0; n < 200; n += 1) {
        // Until it is seen at work, and a while longer, so that the check ends whatever the server tells.
        const seen = await sql`SELECT pid FROM pg_stat_activity WHERE pid = ${pid} AND state = 'active'`;
        n += seen.length === 0 ? 0 : 200;
    }
    query.cancel();
    assert.equal(await ended, "57014");
    assert.equal((await other`SELECT 'on' AS a`)[0].a, "on");
    await other.end();
});

await sql.end({ timeout: 5 });
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
