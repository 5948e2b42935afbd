// What was typed into the start form, as the request of the contract. Empty fields are left to the backend.

import type { ApiError, MarketDataType, StartRequest } from '@ibstream/client'

export type FieldName = 'project' | 'snapshot' | 'maxSymbols' | 'dataType' | 'symbols' | 'refresh'
export type Fields = Record<FieldName, string>
export interface Problem {
  kind: 'whole' | 'number'
  min: number
}

export const LEAST_REFRESH_SECONDS = 5
const NUMBERS = [
  ['project', 'project_id', 'whole', 1],
  ['snapshot', 'decision_snapshot_id', 'whole', 1],
  ['maxSymbols', 'max_symbols', 'whole', 1],
  ['refresh', 'refresh_interval_seconds', 'number', LEAST_REFRESH_SECONDS],
] as const

export function parseStart(fields: Fields): {
  request: StartRequest
  problems: Partial<Record<FieldName, Problem>>
} {
  const request: StartRequest = {}
  const problems: Partial<Record<FieldName, Problem>> = {}

  for (const [name, key, kind, min] of NUMBERS) {
    const text = fields[name].trim()
    if (text === '') continue
    const value = Number(text)
    const good = Number.isFinite(value) && value >= min && (kind === 'number' || Number.isSafeInteger(value))
    if (good) request[key] = value
    else problems[name] = { kind, min }
  }
  if (fields.dataType) request.market_data_type = fields.dataType as MarketDataType
  const symbols = fields.symbols.split(/[\s,;]+/).filter(Boolean)
  if (symbols.length > 0) request.symbols = symbols.map((symbol) => symbol.toUpperCase())
  return { request, problems }
}

const FIELDS: Record<string, FieldName> = {
  project_id: 'project',
  decision_snapshot_id: 'snapshot',
  symbols: 'symbols',
  max_symbols: 'maxSymbols',
  market_data_type: 'dataType',
  refresh_interval_seconds: 'refresh',
}
const CAUSES: Record<string, FieldName> = {
  project_not_found: 'project',
  decision_snapshot_not_found: 'snapshot',
  snapshot_unreadable: 'snapshot',
  invalid_symbol: 'symbols',
}

/** The field that caused a refusal, if one did: as the backend says, else as the code tells. */
export function blamedField(error: ApiError): FieldName | undefined {
  const [name = ''] = error.field?.split('.') ?? []
  return (
    (Object.hasOwn(FIELDS, name) ? FIELDS[name] : undefined) ??
    (Object.hasOwn(CAUSES, error.reason) ? CAUSES[error.reason] : undefined)
  )
}
