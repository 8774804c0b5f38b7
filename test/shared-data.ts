import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/**
 * The path of a file in `../shared/data`, the folder of real models beside the repository, or undefined where there
 * is no such folder. Tests that need it say that they are skipped:
 *
 *     const path = sharedData("models/stories260K/stories260K.gguf");
 *     test.skipIf(!path)("...", async () => { await fileSource(path!) });
 */
export function sharedData(path: string): string | undefined {
  const file = fileURLToPath(new URL(`../../shared/data/${path}`, import.meta.url));
  return existsSync(file) ? file : undefined;
}
