import { isJsonObject } from '../cni/json.ts'

/** A JSON value as text, the same for the same value in whatever order its keys are. */
export function canonical(value: unknown): string {
  const text = JSON.stringify(value, (_key, part: unknown) =>
    isJsonObject(part)
      ? Object.fromEntries(Object.entries(part).sort(([left], [right]) => (left < right ? -1 : 1)))
      : part,
  ) as string | undefined
  return text ?? ''
}
