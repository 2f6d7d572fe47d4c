// node-postgres against the server: types, parameters, error codes, several statements at once, a pool.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const load = createRequire(`${process.env.NODE_DRIVERS}/`);
const pg = load("pg");
console.log(`version ${load("pg/package.json").version}`);
const clip = process.env.CLIP;
let passed = 0;
let failed = 0;

async function check(name, body) {
    try {
        await body();
        passed += 1;
        console.log(`ok      ${name}`);
    } catch (error) {
        failed += 1;
        console.log(`FAILED  ${name}: ${error.message}`);
    }
}

const options = { connectionTimeoutMillis: 5000, query_timeout: 60000 };
const client = new pg.Client(options);
await client.connect();

await check("a source", async () => {
    assert.equal((await client.query(`CREATE SOURCE clip FROM '${clip}'`)).command, "CREATE");
    assert.deepEqual((await client.query("SELECT count(*) AS n FROM clip")).rows, [{ n: "300" }]);
});

await check("types", async () => {
    const { rows, fields } = await client.query("SELECT frame_no, ts, keyframe, width, source FROM clip WHERE frame_no = 1");
    assert.deepEqual(rows, [{ frame_no: "1", ts: new Date(40), keyframe: false, width: 1280, source: "clip" }]);
    assert.deepEqual(fields.map((field) => field.dataTypeID), [20, 1184, 16, 23, 25]);
    const face = (await client.query("SELECT face.box FROM clip CROSS JOIN UNNEST(detect_faces(frame)) AS face WHERE frame_no = 60")).rows[0];
    assert.deepEqual(Object.keys(face.box).sort(), ["h", "w", "x", "y"]);
    const picture = (await client.query("SELECT jpeg(frame, 64) AS jpeg FROM clip WHERE frame_no = 0")).rows[0].jpeg;
    assert.equal(picture.subarray(0, 2).toString("hex"), "ffd8");
});

await check("parameters and a named statement", async () => {
    const query = { name: "some", text: "SELECT count(*) AS n FROM clip WHERE frame_no < $1 AND source = $2" };
    for (const n of [10, 20]) {
        assert.equal((await client.query({ ...query, values: [n, "clip"] })).rows[0].n, String(n));
    }
});

await check("several statements at once", async () => {
    const results = await client.query("SELECT 'first' AS a; SELECT 'second' AS a");
    assert.deepEqual(results.map((result) => result.rows[0].a), ["first", "second"]);
});

await check("an error has its code and the connection goes on", async () => {
    await assert.rejects(client.query("SELECT * FROM nothing"), { code: "42P01" });
    await assert.rejects(client.query("SELECT $1::bigint / 0", [1]), { code: "22012" });
    assert.equal((await client.query("SELECT 'on' AS a")).rows[0].a, "on");
});

await check("a pool", async () => {
    const pool = new pg.Pool({ ...options, max: 10 });
    const counts = await Promise.all(Array.from({ length: 30 }, () => pool.query("SELECT count(*) AS n FROM clip")));
    assert.ok(counts.every((result) => result.rows[0].n === "300"));
    await pool.end();
});

await client.end();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
