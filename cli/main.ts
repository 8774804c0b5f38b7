#!/usr/bin/env node
import { main } from "./program.js";

// not process.exit(), which would cut off what is still on its way to a slow reader
process.exitCode = await main(process.argv.slice(2));
