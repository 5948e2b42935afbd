// What a start with these fields would stream, worked out by the planner and changing nothing.

import { ApiError, type Plan, type StartRequest } from '@ibstream/client'
import { useEffect, useState } from 'react'
import styles from './Control.module.css'
import { useCard } from './hooks'
import { blamedField } from './startRequest'
import { fill, word } from './strings'

const SETTLE_MS = 350 // after the last key
const NAMED = 10

interface PlanPreviewProps {
  request: StartRequest
  /** The planner would refuse it, and a field is to blame; undefined when it would not. */
  onRefusal(error: ApiError | undefined): void
}

export function PlanPreview({ request, onRefusal }: PlanPreviewProps) {
  const { api, strings } = useCard()
  const [plan, setPlan] = useState<Plan>()
  const [refused, setRefused] = useState<ApiError>()

  useEffect(() => {
    let current = true
    const timer = setTimeout(() => {
      api.preview(request).then(
        (found) => {
          if (!current) return
          setPlan(found)
          setRefused(undefined)
          onRefusal(undefined)
        },
        (error) => {
          if (!(error instanceof ApiError)) throw error
          if (!current) return
          setPlan(undefined)
          setRefused(error)
          onRefusal(error)
        },
      )
    }, SETTLE_MS)
    return () => {
      current = false
      clearTimeout(timer)
    }
  }, [api, request, onRefusal])

  if (refused) {
    if (blamedField(refused) || refused.reason === 'not_found') return null
    const text = word(strings.error, refused.reason, refused.message || strings.error.other)
    return <p className={styles.preview}>{text}</p>
  }
  if (!plan) return <p className={styles.preview}>{strings.preview.loading}</p>
  return <Planned plan={plan} />
}

function Planned({ plan }: { plan: Plan }) {
  const { strings, format } = useCard()
  const { preview } = strings
  const symbols = plan.symbols ?? []
  const cut = plan.cut?.length ?? 0
  const rest = symbols.length - NAMED
  const count = format.count(symbols.length)
  return (
    <div className={styles.preview} data-testid="plan-preview">
      <p>
        <strong>{symbols.length === 1 ? preview.plannedOne : fill(preview.planned, { count })}</strong>{' '}
        {plan.project_name && <span>{fill(preview.from, { project: plan.project_name })}</span>}{' '}
        {cut > 0 && <span>{fill(preview.cut, { count: format.count(cut) })}</span>}
      </p>
      <p className={styles.names}>
        {symbols.slice(0, NAMED).map(({ symbol, reason }) => (
          <span key={symbol} title={reason}>
            {symbol}
          </span>
        ))}
        {rest > 0 && <span>{fill(preview.more, { count: format.count(rest) })}</span>}
      </p>
      {(plan.warnings ?? []).map((warning) => (
        <p key={warning} className={styles.warning}>
          {warning}
        </p>
      ))}
    </div>
  )
}
