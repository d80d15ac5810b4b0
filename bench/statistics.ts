/**
 * The value below which the share `q` (0 to 1) of the values lies, interpolated between neighbours.
 *
 * @returns `undefined` of no values.
 */
export function quantile(values: readonly number[], q: number): number | undefined {
  const sorted = values.toSorted((left, right) => left - right)
  const place = (sorted.length - 1) * q
  const below = sorted[Math.floor(place)]
  const above = sorted[Math.ceil(place)]
  if (below === undefined || above === undefined) return undefined
  return below + (above - below) * (place - Math.floor(place))
}
