// Compiles broken variants of our contracts, for tests that must find each of them out.
//
//   node compile_variants.mjs < variants.json > artifacts.json
//
// In: [{"name", "unit": "payments/BatchSettlement.sol", "patches": [{"file", "old", "new"}]}]; out: [{contractName, abi,
// bytecode, deployedBytecode, storageLayout}] in the same order. `old` must occur exactly once in its file. Quick, not small:
// the optimizer is asked for little, so nothing about gas or size may be concluded from these.
import { readFileSync, existsSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const CONTRACTS = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "contracts");
const solc = createRequire(join(CONTRACTS, "package.json"))("solc");

function compile({ name, unit, patches, needsIr = false }) {
  const contract = basename(unit, ".sol");
  const read = (path) => {
    const file = path.startsWith("@") ? join(CONTRACTS, "node_modules", path) : join(CONTRACTS, path);
    if (!existsSync(file)) return { error: `no such file: ${path}` };
    let contents = readFileSync(file, "utf8");
    for (const patch of patches.filter((patch) => patch.file === path)) {
      if (contents.split(patch.old).length !== 2) throw new Error(`${name}: not exactly once in ${path}: ${patch.old}`);
      contents = contents.replace(patch.old, () => patch.new);
    }
    return { contents };
  };
  const input = {
    language: "Solidity",
    sources: { [unit]: { content: read(unit).contents } },
    settings: {
      evmVersion: "cancun",
      viaIR: needsIr,
      optimizer: { enabled: true, runs: 1 },
      metadata: { bytecodeHash: "none", appendCBOR: false },
      outputSelection: { [unit]: { [contract]: ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "storageLayout"] } },
    },
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: read }));
  const errors = (output.errors ?? []).filter((error) => error.severity === "error");
  if (errors.length) throw new Error(`${name}: ${errors.map((error) => error.formattedMessage).join("\n")}`);
  const found = output.contracts[unit][contract];
  return {
    contractName: contract,
    abi: found.abi,
    bytecode: `0x${found.evm.bytecode.object}`,
    deployedBytecode: `0x${found.evm.deployedBytecode.object}`,
    storageLayout: found.storageLayout,
  };
}

process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(compile)));
