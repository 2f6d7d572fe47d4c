// The archive of a package from a byte on, on standard output behind a line that says which byte is its first, fetched by the inside of npm as its user has configured it.
//
// FRAMESQL_NPM is npm's program, FRAMESQL_PACKAGE name@version, FRAMESQL_FROM the byte. Where nothing is printed this npm cannot do it, or the registry did not answer.
'use strict';
const fs = require('fs');
const { createRequire } = require('module');

const inside = createRequire(fs.realpathSync(process.env.FRAMESQL_NPM));
const from = Number(process.env.FRAMESQL_FROM);

async function main() {
  const Npm = inside('../lib/npm.js');
  const npm = new Npm();
  await npm.load();
  const options = { ...npm.flatOptions, preferOffline: false };
  const pacote = inside('pacote');
  const fetch = inside('npm-registry-fetch');
  const { _resolved: address } = await pacote.manifest(process.env.FRAMESQL_PACKAGE, options);
  // It knows when the host of the registry stands for that of the archive.
  const { resolved } = new pacote.RemoteFetcher(address, options);
  const headers = { 'accept-encoding': 'identity' };
  const get = (more) => fetch(resolved, { ...options, cache: null, headers: { ...headers, ...more } });
  // Where there is nothing behind that byte, the bytes that are there are of something else.
  const rest = () => get({ range: `bytes=${from}-` }).catch((e) => (e.statusCode === 416 ? get({}) : Promise.reject(e)));
  const answer = await (from > 0 ? rest() : get({}));
  const range = /^bytes (\d+)-/.exec(answer.headers.get('content-range') || '');
  if (answer.status === 206 && !range) {
    throw new Error('the registry gives a part and does not say which');
  }
  process.stdout.write(`${range ? range[1] : 0}\n`);
  // Nobody is left to read it.
  process.stdout.on('error', () => process.exit(1));
  answer.body.on('error', failed);
  answer.body.pipe(process.stdout);
}

function failed(error) {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}

main().catch(failed);
