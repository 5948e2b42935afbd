// The link's history at a glance: a band of what held when, the gaps in prices under it, and both as a list.

import type { LinkPoint } from '@ibstream/client'
import { useState } from 'react'
import { type Health, TONE } from './health'
import { useBeat, useCard, useStore } from './hooks'
import { ToneIcon } from './Icon'
import styles from './LinkStrip.module.css'
import shared from './shared.module.css'
import { fill, type Strings, word } from './strings'
import { type GapGroup, gapGroupsOf, type Segment, segmentsOf, sharesOf } from './strip'

const MINUTE = 60_000
const RANGES = [15, 60, 360, 1440] as const
const NAMED_SYMBOLS = 4
const LONGEST_LIST = 50
const LEAST_SHARE = 0.5 // percent: less would read as 0 %

export function LinkStrip() {
  const { strings, format } = useCard()
  const [chosen, setMinutes] = useState<number>()
  const record = useStore('record', (store) => store.record)
  const connection = useStore('connection', (store) => store.connection)
  const to = useBeat()
  const minutes = chosen ?? fittingRange(record.link[0], to)
  const from = to - minutes * MINUTE
  const knownUntil = connection.phase === 'away' ? Math.min(to, connection.since) : to
  const segments = segmentsOf(record.link, from, to, knownUntil)
  const gaps = gapGroupsOf(record.gaps, from, to)
  const range = rangeText(minutes, strings)
  const place = (start: number, end: number) => ({
    left: `${((start - from) / (to - from)) * 100}%`,
    width: `${((end - start) / (to - from)) * 100}%`,
  })
  const shares = sharesOf(segments)
    .filter(([, share]) => share >= LEAST_SHARE)
    .map(([status, share]) =>
      fill(strings.strip.part, { status: statusText(status, strings), percent: Math.round(share) }),
    )
  const parts = [...(shares.length > 0 ? shares : [strings.strip.unknown]), gapText(gaps.length, strings)]
  return (
    <section className={styles.strip} aria-label={strings.strip.title}>
      <div className={styles.head}>
        <h3>{strings.strip.title}</h3>
        <span className={styles.shares}>{parts.join(' · ')}</span>
        <fieldset className={styles.ranges}>
          <legend className={shared.srOnly}>{strings.strip.range}</legend>
          {RANGES.map((choice) => (
            <button
              key={choice}
              type="button"
              aria-pressed={choice === minutes}
              onClick={() => setMinutes(choice)}
            >
              {rangeText(choice, strings)}
            </button>
          ))}
        </fieldset>
      </div>
      <div
        className={styles.picture}
        role="img"
        aria-label={fill(strings.strip.label, { range, parts: parts.join(', ') })}
      >
        <div className={styles.band}>
          {segments.map((segment) => (
            <i
              key={`${segment.start}-${segment.status}`}
              data-status={segment.status}
              style={place(segment.start, segment.end)}
              title={`${statusText(segment.status, strings)}${segment.reason ? `: ${word(strings.reason, segment.reason)}` : ''} (${format.clock(segment.start)})`}
            />
          ))}
        </div>
        <div className={styles.gaps}>
          {gaps.map((gap) => (
            <i
              key={`${gap.start}-${gap.end}-${gap.reason}-${gap.symbols[0]}`}
              data-filled={gap.filled}
              style={place(gap.start, gap.end)}
              title={`${symbolsText(gap, strings)} (${format.clock(gap.start)})`}
            />
          ))}
        </div>
        <div className={styles.scale}>
          <span>{format.clock(from, false)}</span>
          <span>{format.clock((from + to) / 2, false)}</span>
          <span>{strings.strip.now}</span>
        </div>
      </div>
      <ChangeList segments={segments} gaps={gaps} />
    </section>
  )
}

/** An hour, or less while the record is younger: a first visit is not an empty picture. */
function fittingRange(first: LinkPoint | undefined, now: number): number {
  return first && now - Date.parse(first.time) < RANGES[0] * MINUTE ? RANGES[0] : RANGES[1]
}

interface Row {
  key: string
  start: number
  status: string | undefined
  text: string
  reason: string
  lasted: string
}

function ChangeList({ segments, gaps }: { segments: Segment[]; gaps: GapGroup[] }) {
  const { strings, format } = useCard()
  const [open, setOpen] = useState(false)
  const rows = open ? rowsOf() : []

  function rowsOf(): Row[] {
    const lasted = (start: number, end: number, ongoing: boolean) =>
      ongoing
        ? `${format.age((end - start) / 1000)} (${strings.strip.ongoing})`
        : format.age((end - start) / 1000)
    const changes = segments
      .filter((segment) => segment.status !== 'unknown')
      .map((segment) => ({
        key: `s${segment.start}`,
        start: segment.start,
        status: segment.status,
        text: statusText(segment.status, strings),
        reason: segment.reason ? word(strings.reason, segment.reason) : '',
        lasted: lasted(segment.start, segment.end, segment.ongoing),
      }))
    const missing = gaps.map((gap) => ({
      key: `g${gap.start}-${gap.reason}-${gap.symbols[0]}`,
      start: gap.start,
      status: undefined,
      text: symbolsText(gap, strings) + (gap.filled ? ` (${strings.strip.filled})` : ''),
      reason: word(strings.reason, gap.reason),
      lasted: lasted(gap.start, gap.end, gap.ongoing),
    }))
    return [...changes, ...missing].sort((a, b) => b.start - a.start).slice(0, LONGEST_LIST)
  }

  return (
    <details className={styles.list} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{strings.strip.list}</summary>
      {open && rows.length === 0 && <p>{strings.strip.listEmpty}</p>}
      {rows.length > 0 && (
        <table>
          <thead>
            <tr>
              <th scope="col">
                {strings.strip.time} ({format.zone(Date.now())})
              </th>
              <th scope="col">{strings.strip.what}</th>
              <th scope="col">{strings.strip.reason}</th>
              <th scope="col">{strings.strip.lasted}</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.key}>
                <td>{format.clock(row.start)}</td>
                <td>
                  {row.status && <ToneIcon tone={TONE[row.status as Health] ?? 'idle'} size={11} />}{' '}
                  {row.text}
                </td>
                <td>{row.reason}</td>
                <td>{row.lasted}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </details>
  )
}

function statusText(status: string, strings: Strings): string {
  return status === 'unknown' ? strings.strip.unknown : word(strings.status, status)
}

function gapText(count: number, strings: Strings): string {
  if (count === 0) return strings.strip.noGaps
  return count === 1 ? strings.strip.gapsOne : fill(strings.strip.gapsCount, { count })
}

function symbolsText(gap: GapGroup, strings: Strings): string {
  const named = gap.symbols.slice(0, NAMED_SYMBOLS).join(', ')
  const more = gap.symbols.length - NAMED_SYMBOLS
  const symbols = more > 0 ? fill(strings.strip.moreSymbols, { symbols: named, count: more }) : named
  return fill(strings.strip.gapOf, { symbols })
}

function rangeText(minutes: number, strings: Strings): string {
  return minutes < 60
    ? fill(strings.chart.minutes, { n: minutes })
    : fill(strings.chart.hours, { n: minutes / 60 })
}
