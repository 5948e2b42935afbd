// @stoqey/ib in a process of its own: connects to PORT at its default settings, asks what a user asks, prints one JSON
// line. QQQ is not entitled: its prices are delayed. Usage: node stoqey.mjs FOLDER PORT
import { createRequire } from "node:module";
import path from "node:path";

const [folder, port] = process.argv.slice(2);
const { IBApi, EventName, SecType, BarSizeSetting } = createRequire(path.resolve(folder, "x.js"))("@stoqey/ib");
const USUAL = new Set([2104, 2106, 2158, 10167]);
const api = new IBApi({ port: Number(port), clientId: 33 });
const seen = {};
const complaints = [];
const stock = (symbol) => ({ symbol, secType: SecType.STK, exchange: "SMART", currency: "USD" });

const keep = (event, name, pick = () => true) =>
  api.on(event, (...values) => (seen[name(...values)] ??= []).push(pick(...values)));
keep(EventName.nextValidId, () => "ready");
keep(EventName.managedAccounts, () => "accounts", (accounts) => accounts);
keep(EventName.currentTime, () => "time", (time) => time);
keep(EventName.tickPrice, (id) => `price ${id}`, (id, type) => type);
keep(EventName.tickSnapshotEnd, () => "snapshot end");
keep(EventName.marketDataType, (id) => `type ${id}`, (id, type) => type);
keep(EventName.contractDetails, () => "details", (id, details) => details);
keep(EventName.contractDetailsEnd, () => "details end");
keep(EventName.historicalData, (id, date) => (date.startsWith("finished") ? "bars end" : "bars"));
keep(EventName.realtimeBar, () => "real-time bars");
keep(EventName.tickByTickAllLast, () => "trades");
keep(EventName.historicalTicksLast, () => "past trades", (id, ticks) => ticks.length);
keep(EventName.historicalTicksBidAsk, () => "past quotes", (id, ticks) => ticks.length);
keep(EventName.historicalTicks, () => "past mid-points", (id, ticks) => ticks.length);
api.on(EventName.error, (error, code, id) => USUAL.has(code) || complaints.push(`${id} ${code} ${error.message}`));

async function wait(name, enough = (found) => found.length > 0) {
  const until = Date.now() + 20_000;
  while (!enough(seen[name] ?? [])) {
    if (Date.now() > until) throw new Error(`no ${name}: ${complaints}`);
    await new Promise((go) => setTimeout(go, 20));
  }
  return seen[name];
}

api.connect();
await wait("ready");
const spy = stock("SPY");
api.reqCurrentTime();
api.reqMktData(1, spy, "", false, false);
api.reqMktData(2, spy, "", true, false);
api.reqContractDetails(3, stock("AAPL"));
api.reqHistoricalData(4, spy, "", "1800 S", BarSizeSetting.MINUTES_ONE, "TRADES", 1, 2, false);
api.reqRealTimeBars(5, spy, 5, "TRADES", false);
api.reqTickByTickData(7, spy, "AllLast", 0, false);
const before = new Date(Date.now() - 60_000).toISOString().slice(0, 19).replaceAll("-", "").replace("T", "-");
["TRADES", "BID_ASK", "MIDPOINT"].forEach((what, n) => api.reqHistoricalTicks(9 + n, spy, "", before, 10, what, 1, true));
api.reqMarketDataType(3);
api.reqMktData(6, stock("QQQ"), "", false, false);
for (const name of ["snapshot end", "details end", "bars end", "real-time bars", "time", "trades"]) await wait(name);
for (const name of ["past trades", "past quotes", "past mid-points"]) await wait(name);
await wait("price 1", (found) => found.length >= 20);
await wait("price 6", (found) => [66, 67, 68].every((type) => found.includes(type)));

const kinds = (name) => [...new Set(seen[name])].sort((a, b) => a - b);
console.log(
  JSON.stringify({
    version: api.serverVersion,
    complaints,
    accounts: seen.accounts,
    time: Number(seen.time[0]),
    isin: (seen.details[0].secIdList ?? []).map((pair) => pair.value),
    hours: seen.details[0].liquidHours,
    live: kinds("price 1"),
    delayed: kinds("price 6"),
    types: [seen["type 1"][0], seen["type 6"][0]],
    snapshot: kinds("price 2"),
    bars: seen.bars.length,
    real_time_bars: seen["real-time bars"].length,
    tick_by_tick: [seen.trades.length],
    past_ticks: ["trades", "quotes", "mid-points"].map((name) => seen[`past ${name}`][0]),
  }),
);
api.disconnect();
process.exit(0);
