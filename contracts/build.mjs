// Compiles the contracts and writes what Python needs of each to src/nearcast/chain/artifacts/<Name>.json.
//
//   node build.mjs                    compile and write all
//   node build.mjs --only Name        one contract (repeatable, or Name,Name); other people's files are not read
//   node build.mjs --check            write nothing; end with 1 and name the artifacts that are stale, missing or left over
//   node build.mjs --sizes            also print the size of each contract's code beside the limit of EIP-170
//   node build.mjs --hostile          what tests throw at the contracts, contracts/hostile/ to tests/contracts/hostile/
//   node build.mjs --folder PATH      read and write the artifacts there
//   node build.mjs --print-settings   the compiler's settings, for tools that run the compiler themselves (scripts/slither.sh)
//
// A deployable contract `Name` is the one that lies in a `Name.sol` outside interfaces/. Each is compiled alone with exactly
// the files it imports: what lies beside it cannot change a bit of its code. No metadata hash is appended, so the code depends
// on the compiler, its settings and the sources, and on no path. What was compiled before is kept in node_modules/.cache under the
// hash of all that went into it; nothing is taken from an artifact, whoever may have edited it.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, posix, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const HERE = dirname(fileURLToPath(import.meta.url));
const PACKAGES = join(HERE, "node_modules");
const CACHE = join(PACKAGES, ".cache", "nearcast");
const ARTIFACTS = join(HERE, "..", "src", "nearcast", "chain", "artifacts");
const HOSTILE_ARTIFACTS = join(HERE, "..", "tests", "contracts", "hostile");
const NOT_DEPLOYED = new Set(["interfaces", "node_modules"]);
const CODE_SIZE_BYTES_MAX = 24_576; // EIP-170

// runs: what counts is the price of calls, paid again and again; deployment is paid once per chain. Cancun is what Base and
// Arbitrum run at least (transient storage, MCOPY); nothing here needs more.
const SETTINGS = {
  evmVersion: "cancun",
  viaIR: true,
  optimizer: { enabled: true, runs: 100_000 },
  metadata: { bytecodeHash: "none", appendCBOR: false },
};
// Contracts that would not fit EIP-170 with the settings above.
const RUNS_OF_LARGE = { NearcastGovernor: 200 };

function main() {
  const { values } = parseArgs({
    options: {
      only: { type: "string", multiple: true },
      check: { type: "boolean" },
      sizes: { type: "boolean" },
      hostile: { type: "boolean", default: false },
      folder: { type: "string" },
      "print-settings": { type: "boolean" },
    },
  });
  if (values["print-settings"]) return console.log(JSON.stringify(SETTINGS));
  const folder = values.folder ?? (values.hostile ? HOSTILE_ARTIFACTS : ARTIFACTS);
  const all = deployables(values.hostile);
  const names = values.only ? values.only.flatMap((names) => names.split(",")) : [...all.keys()];
  for (const name of names) if (!all.has(name)) fail(`no contract is called ${name}; there are ${[...all.keys()].join(", ")}`);

  const broken = [];
  const stale = values.check && !values.only ? leftOver(folder, all) : [];
  for (const name of names) {
    const built = compiled(name, all.get(name));
    if (built.errors) {
      broken.push(name);
      console.error(built.errors);
      continue;
    }
    if (values.sizes) console.log(`${name}: ${built.size} of ${CODE_SIZE_BYTES_MAX} bytes`);
    const path = join(folder, `${name}.json`);
    const before = existsSync(path) ? readFileSync(path, "utf8") : null;
    if (before === built.text) continue;
    if (values.check) stale.push(`${name} (${before === null ? "missing" : "stale"})`);
    else {
      mkdirSync(folder, { recursive: true });
      writeFileSync(path, built.text);
      console.log(`written: ${relative(join(HERE, ".."), path)}`);
    }
  }
  if (!values.check && !values.only && !broken.length)
    for (const name of leftOver(folder, all)) rmSync(join(folder, `${name.split(" ")[0]}.json`));
  if (broken.length) fail(`do not compile: ${broken.join(", ")}`);
  if (stale.length) fail(`artifacts that are not what the sources say: ${stale.join(", ")}. Run: make contracts`);
}

/** contract name -> its source unit, "payments/BatchSettlement.sol" */
function deployables(hostile) {
  const found = new Map();
  for (const entry of readdirSync(HERE, { recursive: true, withFileTypes: true })) {
    const unit = relative(HERE, join(entry.parentPath ?? entry.path, entry.name)).split(sep).join("/");
    const room = unit.split("/")[0];
    if (!entry.isFile() || !unit.endsWith(".sol") || NOT_DEPLOYED.has(room) || (room === "hostile") !== hostile) continue;
    const name = basename(unit, ".sol");
    // Abstract contracts and libraries may lie in files of their own, too. Comments out first: they may hold any word.
    const code = readFileSync(join(HERE, unit), "utf8").replace(/\/\*[^]*?\*\/|\/\/.*/g, "");
    if (!new RegExp(`(?<!abstract\\s+)\\bcontract\\s+${name}\\b`).test(code)) continue;
    if (found.has(name)) fail(`two contracts are called ${name}`);
    found.set(name, unit);
  }
  return new Map([...found].sort(([one], [other]) => (one < other ? -1 : 1)));
}

/** The artifact's text and the size of its code, or errors; from the cache when exactly this was compiled before. */
function compiled(name, unit) {
  const settings = { ...SETTINGS, optimizer: { ...SETTINGS.optimizer } };
  if (RUNS_OF_LARGE[name]) settings.optimizer.runs = RUNS_OF_LARGE[name];
  const sources = closure(unit);
  const script = readFileSync(fileURLToPath(import.meta.url), "utf8");
  const lock = readFileSync(join(HERE, "package-lock.json"), "utf8");
  const kept = join(CACHE, `${hashOf({ name, settings, sources, script, lock })}.json`);
  if (existsSync(kept)) return JSON.parse(readFileSync(kept, "utf8"));
  const built = compile(name, unit, settings, sources);
  if (built.errors) return built;
  mkdirSync(CACHE, { recursive: true });
  writeFileSync(`${kept}.${process.pid}`, JSON.stringify(built));
  renameSync(`${kept}.${process.pid}`, kept);
  return built;
}

/** Every file that a source unit imports, however far: its name and text. A missing one is left to the compiler to speak of. */
function closure(unit) {
  const sources = {};
  const waiting = [unit];
  while (waiting.length) {
    const path = waiting.pop();
    const file = path.startsWith("@") ? join(PACKAGES, path) : join(HERE, path);
    if (path in sources || !existsSync(file)) continue;
    sources[path] = readFileSync(file, "utf8");
    for (const [, imported] of sources[path].matchAll(/^\s*import\b[^;"']*["']([^"']+)["']/gm))
      waiting.push(imported.startsWith(".") ? posix.join(posix.dirname(path), imported) : imported);
  }
  return sources;
}

let solc; // 9 MB of program: loaded when there is something to compile

function compile(name, unit, settings, sources) {
  solc ??= createRequire(import.meta.url)("solc");
  const outputs = ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "storageLayout", "transientStorageLayout"];
  const input = {
    language: "Solidity",
    sources: Object.fromEntries(Object.entries(sources).map(([path, content]) => [path, { content }])),
    settings: { ...settings, outputSelection: { [unit]: { [name]: outputs } } },
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input)));
  // Warnings of ours are errors; the library's are not ours to answer.
  const errors = (output.errors ?? []).filter((e) => e.severity === "error" || !e.sourceLocation?.file?.startsWith("@"));
  if (errors.length) return { errors: errors.map((e) => e.formattedMessage).join("\n") };
  const contract = output.contracts[unit][name];
  const deployed = contract.evm.deployedBytecode.object;
  const size = deployed.length / 2;
  if (size > CODE_SIZE_BYTES_MAX) return { errors: `${name} is too large: ${size} bytes, EIP-170 allows ${CODE_SIZE_BYTES_MAX}` };
  const artifact = {
    contractName: name,
    compiler: solc.version(),
    sourceHash: hashOf({ compiler: solc.version(), settings, sources }),
    abi: contract.abi,
    storageLayout: layout(contract.storageLayout),
    transientStorageLayout: layout(contract.transientStorageLayout),
    bytecode: `0x${contract.evm.bytecode.object}`,
    deployedBytecode: `0x${deployed}`,
  };
  return { text: JSON.stringify(sorted(artifact), null, 1) + "\n", size };
}

/** Where each variable lies, without the numbers of the compiler's syntax tree, which change with every comment's neighbour. */
function layout(found) {
  const plain = JSON.stringify(found ?? { storage: [], types: null }).replace(/\)\d+_storage/g, ")_storage").replace(/(\(\w+\))\d+/g, "$1");
  const { storage, types } = JSON.parse(plain, (key, value) => (key === "astId" ? undefined : value));
  return { storage, types: types ?? {} };
}

function leftOver(folder, all) {
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder).filter((file) => file.endsWith(".json")).map((file) => basename(file, ".json"));
  return names.filter((name) => !all.has(name)).map((name) => `${name} (left over)`);
}

function hashOf(value) {
  return createHash("sha256").update(JSON.stringify(sorted(value))).digest("hex");
}

function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]));
}

function fail(words) {
  console.error(words);
  process.exit(1);
}

main();
