// The link's history as a picture: pure geometry, so that the strip, its label and its list agree.

import type { Gap, LinkPoint } from '@ibstream/client'

export interface Segment {
  status: string
  reason: string | null
  start: number
  end: number
  ongoing: boolean
}

/** Prices missing for the same reason at the same time, as one. */
export interface GapGroup {
  symbols: string[]
  start: number
  end: number
  ongoing: boolean
  reason: string
  filled: boolean
}

const SAME_MS = 2_000

/**
 * What held from `from` to `to`. Nothing is known before the first point, nor after `knownUntil`: there the
 * status is `unknown`.
 */
export function segmentsOf(link: readonly LinkPoint[], from: number, to: number, knownUntil = to): Segment[] {
  const points = link
    .map((point) => ({ at: Date.parse(point.time), status: point.status, reason: point.reason ?? null }))
    .sort((a, b) => a.at - b.at)
  const all = [{ at: Number.NEGATIVE_INFINITY, status: 'unknown', reason: null as string | null }, ...points]
  const segments: Segment[] = []
  all.forEach((point, index) => {
    const next = all[index + 1]?.at ?? Number.POSITIVE_INFINITY
    const start = Math.max(from, point.at)
    const end = Math.min(knownUntil, next)
    if (end > start) {
      const ongoing = next === Number.POSITIVE_INFINITY && knownUntil === to
      segments.push({ status: point.status, reason: point.reason, start, end, ongoing })
    }
  })
  if (knownUntil < to) {
    const start = Math.max(from, knownUntil)
    segments.push({ status: 'unknown', reason: null, start, end: to, ongoing: true })
  }
  return segments
}

export function gapGroupsOf(gaps: readonly Gap[], from: number, to: number): GapGroup[] {
  const groups: GapGroup[] = []
  const sorted = gaps
    .map((gap) => ({ ...gap, from: Date.parse(gap.start), to: gap.end ? Date.parse(gap.end) : undefined }))
    .filter((gap) => gap.from < to && (gap.to ?? to) > from)
    .sort((a, b) => a.from - b.from)
  for (const gap of sorted) {
    const end = gap.to ?? to
    const ongoing = gap.to === undefined
    const filled = gap.filled ?? false
    const twin = groups.find(
      (group) =>
        group.reason === gap.reason &&
        group.ongoing === ongoing &&
        group.filled === filled &&
        Math.abs(group.start - Math.max(from, gap.from)) < SAME_MS &&
        Math.abs(group.end - Math.min(to, end)) < SAME_MS,
    )
    if (twin) twin.symbols.push(gap.symbol)
    else
      groups.push({
        symbols: [gap.symbol],
        start: Math.max(from, gap.from),
        end: Math.min(to, end),
        ongoing,
        reason: gap.reason,
        filled,
      })
  }
  return groups
}

/** Each status and its share of the time that is on record, in percent, the largest first. */
export function sharesOf(segments: readonly Segment[]): [string, number][] {
  const total = new Map<string, number>()
  let known = 0
  for (const { status, start, end } of segments) {
    if (status === 'unknown') continue
    known += end - start
    total.set(status, (total.get(status) ?? 0) + end - start)
  }
  return [...total]
    .map(([status, ms]): [string, number] => [status, (ms / known) * 100])
    .sort(([, a], [, b]) => b - a)
}
