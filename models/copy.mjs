// Puts the bundled model beside its compiled module.
import { copyFileSync, mkdirSync } from "node:fs";

const built = new URL("../dist/models/", import.meta.url);
mkdirSync(built, { recursive: true });
copyFileSync(new URL("tiny.gguf", import.meta.url), new URL("tiny.gguf", built));
