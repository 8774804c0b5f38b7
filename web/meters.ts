import type { GenerationResult } from "../runtime/index.js";
import { element } from "./dom.js";

/** The speed shown is that of the last second. */
const WINDOW_MS = 1000;

/** One text's figures, as it is written. */
export interface TextMeter {
  token(): void;
  end(result: GenerationResult): void;
}

export interface Meters {
  /** Begins with the figures of a new text; `used` positions come before its first token. */
  begin(contextLength: number, used: number): TextMeter;
}

export function setUpMeters(): Meters {
  const speed = element("speed", HTMLElement);
  const promptSpeed = element("prompt-speed", HTMLElement);
  const firstToken = element("first-token", HTMLElement);
  const context = element("context", HTMLElement);

  return {
    begin(contextLength, used) {
      const begun = performance.now();
      const times: number[] = [];
      let tokens = 0;
      let shown = 0;
      speed.textContent = "…";
      promptSpeed.textContent = "…";
      firstToken.textContent = "…";
      return {
        token() {
          const now = performance.now();
          if (tokens++ === 0) firstToken.textContent = milliseconds(now - begun);
          times.push(now);
          while (times[0]! < now - WINDOW_MS) times.shift();
          if (now - shown < 100) return; // more often than anyone can read
          shown = now;
          const [first, last] = [times[0]!, times.at(-1)!];
          if (last > first) speed.textContent = perSecond((1000 * (times.length - 1)) / (last - first));
          context.textContent = `${used + tokens} of ${contextLength}`;
        },
        end({ timings, usage }) {
          speed.textContent = perSecond(timings.decodeTokensPerSecond);
          promptSpeed.textContent = perSecond(timings.promptTokensPerSecond);
          context.textContent = `${usage.totalTokens} of ${contextLength}`;
        },
      };
    },
  };
}

function perSecond(rate: number): string {
  return rate > 0 ? `${rate < 10 ? rate.toFixed(1) : rate.toFixed(0)} tokens/s` : "–";
}

function milliseconds(ms: number): string {
  return ms < 1000 ? `${ms.toFixed(0)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
