"""The breakages: a file, the exact text, what it is made into, and what is wrong then. One sentence each."""

from __future__ import annotations

from typing import NamedTuple

TASK, WORKER, SESSION = "streams/task.py", "streams/worker.py", "streams/session.py"
RESTORING, CLIENTS, STEP, STATE = "streams/restoring.py", "streams/clients.py", "streams/step.py", "streams/state.py"
BOOKS, ERRORS, EXPIRY, LETTERS = (
    "streams/books.py",
    "streams/kafka_errors.py",
    "streams/expiry.py",
    "streams/letters.py",
)
PIPELINE, BOOK, TOTALS, READING = "pricing/pipeline.py", "pricing/book.py", "pricing/totals.py", "pricing/reading.py"
SELECTION, CODEC, CHECKS = "pricing/selection.py", "streams/codec.py", "pricing/checks.py"
DOCUMENTS, TERMS, AMOUNTS = "pricing/documents.py", "pricing/terms.py", "pricing/amounts.py"
COST, TOTAL_CODEC, RECONCILING = "pricing/costs.py", "streams/total_codec.py", "streams/reconciling.py"
ACCOUNT_RECORDS = "streams/account_records.py"
RECORDS = "streams/records.py"


class Mutant(NamedTuple):
    """`old` has to be in `file` exactly once."""

    name: str
    file: str
    old: str
    new: str
    wrong: str


RULES = [
    Mutant(
        "state before start()",
        SESSION,
        "                await self._producer.start()\n"
        "                await self._mark_again()\n"
        "            restored = await self._logs.restore(kept)\n",
        "                restored = await self._logs.restore(kept)\n"
        "                await self._producer.start()\n"
        "                await self._mark_again()\n",
        "Rule 1: what the old owner commits after the reading is lost from memory.",
    ),
    Mutant(
        "forgotten markers stay forgotten",
        SESSION,
        "                await self._mark_again()\n",
        "",
        "What a killed broker has committed and not marked is made anew, and then there twice.",
    ),
    Mutant(
        "what was aborted is committed",
        SESSION,
        "await (producer.commit_transaction() if is_commit else producer.abort_transaction())\n",
        "await producer.commit_transaction()\n",
        "Records of a transaction that ended in an abort appear after all.",
    ),
    Mutant(
        "markers are not waited for",
        SESSION,
        '            if not state.startswith("Prepare"):  # the markers are there: the state can be read\n',
        "            if state:\n",
        "The state is read before what was committed can be seen.",
    ),
    Mutant(
        "a session outlives its connections",
        TASK,
        "            self._session.check()\n",
        "",
        "Where nothing more comes, records without markers stay hidden.",
    ),
    Mutant(
        "a producer goes on on another connection",
        SESSION,
        "            self.is_cut_off = self.is_cut_off or reason not in _HARMLESS\n",
        "",
        "What it sends then ends as records do whose markers were forgotten.",
    ),
    Mutant(
        "what was asked of an interrupted opening is forgotten",
        SESSION,
        "                if last in _DECIDED:\n",
        "                self._unmarked.pop(self.partition, None)\n                if last in _DECIDED:\n",
        "`start()` has made the coordinator forget it: the worker refuses to go on.",
    ),
    Mutant(
        "what was asked is forgotten with the partition",
        SESSION,
        "        self._unmarked = unmarked\n",
        "        self._unmarked: dict[int, str] = {}\n",
        "A rebalance in an opening, as they come with a broker's restart, does the same.",
    ),
    Mutant(
        "hidden records do not matter",
        RESTORING,
        "        if stable < end:\n",
        "        if stable < 0:\n",
        "Records whose transaction has no end are made anew, and the next marker shows both.",
    ),
    Mutant(
        "a changelog goes on anywhere",
        SESSION,
        "            if first != end:\n",
        "            if first < end:\n",
        "A broker that was frozen shows it as it was, and everything since is priced once more.",
    ),
    Mutant(
        "one contradiction is enough",
        RESTORING,
        "        for pause_s in _ASK_AGAIN_S:\n",
        "        for pause_s in ():\n",
        "A coordinator that was frozen answers from before, and the worker ends though nothing is wrong.",
    ),
    Mutant(
        "no seek",
        TASK,
        "            self._seek(part, offset)\n",
        "            pass\n",
        "Rule 1: the inputs go on from wherever the consumer stands.",
    ),
    Mutant(
        "first offsets, then records",
        SESSION,
        "        sent = await self._send(step, list(step.outputs))\n",
        "        await producer._sender._do_add_offsets_to_txn(self._settings.group)\n"
        "        sent = await self._send(step, list(step.outputs))\n",
        "The offsets open the transaction: each one waits 100 ms for the one before.",
    ),
    Mutant(
        "no position record",
        STATE,
        '[(b"position", msgspec.json.encode(changes.position))]',
        "[]",
        "Rule 2: the changelog does not say where it is.",
    ),
    Mutant(
        "position last",
        STATE,
        "        records += [(_parked_key(offset), None) for offset in changes.released]\n        return records\n",
        "        records += [(_parked_key(offset), None) for offset in changes.released]\n"
        "        return [*records[1:], records[0]]\n",
        "Rule 2: a kept state is compared with a position that lies before the records that it covers.",
    ),
    Mutant(
        "reset offsets are taken",
        RESTORING,
        "if group is not None and group != offset:",
        "if False:",
        "Rule 2: offsets that somebody has reset go unnoticed.",
    ),
    Mutant(
        "out of range is taken",
        RESTORING,
        "if not offset < 0 and not beginnings[part] <= offset <= ends[part]:",
        "if False:",
        "Rule 2: records that retention has deleted are skipped without a word.",
    ),
    Mutant(
        "always from the beginning",
        RESTORING,
        "resolved.append(beginnings[part] if offset < 0 else offset)",
        "resolved.append(beginnings[part])",
        "Rule 2: a restored partition reads everything again.",
    ),
    Mutant(
        "state of another app",
        STATE,
        "    if position.app != app:\n",
        "    if False:\n",
        "A state that is not ours is gone on with.",
    ),
    Mutant(
        "another partition count",
        STATE,
        "    if position.partitions != partitions:\n",
        "    if False:\n",
        "A state is gone on with after organizations have moved to other partitions.",
    ),
    Mutant(
        "futures are not awaited",
        SESSION,
        "zip(batches, await asyncio.gather(*futures), strict=True)",
        'zip(batches, [type("Sent", (), {"offset": 0})] * len(futures), strict=True)',
        "Rule 3: a transaction of which the broker refused a batch is committed.",
    ),
    Mutant(
        "fold before the commit",
        TASK,
        "            await self._session.commit(result, self.state)\n",
        "            self.state.fold(result.changes)\n            await self._session.commit(result, self.state)\n",
        "Memory changes before the commit has succeeded.",
    ),
    Mutant(
        "an unknown outcome is taken for a commit",
        TASK,
        '            self._shell.metrics.transactions.labels("unknown").inc()\n            raise\n',
        '            self._shell.metrics.transactions.labels("unknown").inc()\n',
        "Rule 4: an error in a transaction is swallowed, its producer used again.",
    ),
    Mutant(
        "kept without comparing",
        RESTORING,
        "if kept is None or not await self._is_current(reader, kept, ends):",
        "if kept is None:",
        "Rule 5: memory that another owner has overtaken is used.",
    ),
    Mutant(
        "nothing is kept",
        WORKER,
        "                    self._kept[partition] = task.kept\n",
        "                    pass\n",
        "Rule 5: each rebalance reads the whole changelog again.",
    ),
    Mutant(
        "open again at once after a fence",
        WORKER,
        "                await self._heartbeat_after(asyncio.get_running_loop().time(), revoked)\n",
        "",
        "A zombie fences the rightful owner.",
    ),
    Mutant(
        "a zombie opens again after a timeout",
        WORKER,
        "                await self._heartbeat_after(asyncio.get_running_loop().time() - session_s, revoked)\n",
        "",
        "A thawed worker that has not heard of its fence yet fences the rightful owner.",
    ),
    Mutant(
        "runs with one input of three",
        WORKER,
        "            if got == topics:\n",
        "            if got:\n",
        "Rule 5: a task runs without its accounts.",
    ),
    Mutant(
        "poll with an empty list",
        WORKER,
        "        if not wanted:  # an empty list would mean all partitions",
        "        if False:",
        "Rule 6: the records of tasks that do not run yet are polled, and dropped.",
    ),
    Mutant(
        "errors of the group are left alone",
        WORKER,
        "            self._consumer.check_errors()\n",
        "",
        "The group's coordination waits for ever until somebody takes its error.",
    ),
    Mutant(
        "read_uncommitted",
        CLIENTS,
        '"isolation_level": "read_committed"',
        '"isolation_level": "read_uncommitted"',
        "Rule 7: aborted transactions are restored.",
    ),
    Mutant(
        "offsets reset to the latest",
        CLIENTS,
        '"auto_offset_reset": "none"',
        '"auto_offset_reset": "latest"',
        "Rule 7: records are skipped without a word.",
    ),
    Mutant(
        "offsets committed on the side",
        CLIENTS,
        '"enable_auto_commit": False',
        '"enable_auto_commit": True',
        "Rule 7: offsets move outside of the transaction.",
    ),
    Mutant(
        "round robin",
        CLIENTS,
        "            partition_assignment_strategy=(RangePartitionAssignor,),\n",
        "",
        "Rule 5: the three inputs of a partition go to different workers.",
    ),
    Mutant(
        "silence ends the worker",
        ERRORS,
        "    if isinstance(error, Silent):",
        "    if False:",
        "A broker that is away for ten seconds ends all workers.",
    ),
    Mutant(
        "a cancellation that is nobody's is passed on",
        CLIENTS,
        "        if _cancellations() > before:\n            raise\n",
        "        raise\n",
        "A partition stands still because a reader of it has stopped badly.",
    ),
    Mutant(
        "a cancelled commit ends the worker",
        SESSION,
        "        if is_cancelled():\n            raise\n",
        "        raise\n",
        "A client that cancels its caller takes the worker along.",
    ),
    Mutant(
        "a cancelled loop is no failure",
        WORKER,
        "        if task.cancelled() and task.cancelling():\n",
        "        if task.cancelled():\n",
        "A worker is alive and does nothing.",
    ),
    Mutant(
        "a batch after the fence has no reason",
        SESSION,
        "                        await asyncio.gather(*chain.from_iterable(futures.values()))\n",
        "                        pass\n",
        "A worker that is fenced between two batches of a transaction starts over without a heartbeat.",
    ),
    Mutant(
        "a fence is an unknown outcome",
        ERRORS,
        "    if isinstance(error, _FENCED):",
        "    if False:",
        "A fenced worker starts over by itself.",
    ),
    Mutant(
        "SIGTERM waits for the group",
        WORKER,
        "            elif not stopping.done():\n                raise TimeoutError\n",
        "            else:\n                await joining\n",
        "A worker that waits to join does not stop when it is told to.",
    ),
    Mutant(
        "a publication in between is missed",
        BOOKS,
        "            reader.seek(self._part, self._next)  #",
        "            pass  #",
        "What is published while the books are read at a start never counts for this worker.",
    ),
    Mutant(
        "the last publication counts",
        BOOKS,
        "            if publication.key not in self._known:\n",
        "            if publication:\n",
        "A second record of a version replaces the first.",
    ),
    Mutant(
        "no second chance",
        TASK,
        "                if failed.origin in self._failed_once:\n                    self._poison |= {failed.origin}\n",
        "                raise\n",
        "A record on which the worker fails ends it, again and again.",
    ),
]

DEDUP = [
    Mutant(
        "content is not compared",
        STEP,
        "            if content == event.content:\n",
        "            if True:\n",
        "An identity that is used again for other content is dropped as a duplicate.",
    ),
    Mutant(
        "source is not in the identity",
        "pricing/events.py",
        'f"{self.data.organization}\\n{self.source}\\n{self.id}"',
        'f"{self.data.organization}\\n{self.id}"',
        "Two gateways that count from 1 lose each other's events.",
    ),
    Mutant(
        "duplicates within a batch",
        STEP,
        "known or self._newly_seen.get(fingerprint)",
        "known",
        "An event that comes twice in one batch is priced twice.",
    ),
    Mutant(
        "seen is not looked up",
        STEP,
        "known or self._newly_seen.get(fingerprint)",
        "self._newly_seen.get(fingerprint)",
        "An event that comes again in a later batch is priced twice.",
    ),
    Mutant(
        "ids expire a day too early",
        EXPIRY,
        "SEEN_SLACK_DAYS = 2",
        "SEEN_SLACK_DAYS = 0",
        "An event is forgotten while its duplicate is still accepted.",
    ),
    Mutant(
        "ids never expire",
        EXPIRY,
        "if day < oldest]",
        "if day < 0]",
        "Memory and changelog grow for ever.",
    ),
    Mutant(
        "expired ids stay in the changelog",
        STATE,
        "            records += [(_seen_key(day, number), None) for number in (*held.full, *held.small)]\n",
        "",
        "What is forgotten in memory comes back with a restore.",
    ),
    Mutant(
        "small segments stay beside the full one",
        STATE,
        "        return records + [(_seen_key(day, n), None) for n in others if n != number]\n",
        "        return records\n",
        "Ids are filed twice, and the changelog is not what memory is.",
    ),
    Mutant(
        "parked events claim no identity",
        STEP,
        "            self._park(event, arrival, missing)\n",
        "            self._park(event, arrival, missing)\n            return\n",
        "A duplicate of a parked event is parked again, and both are priced.",
    ),
    Mutant(
        "append time alone decides what is too late",
        STEP,
        " or event.at < self._known_since:",
        ":",
        "A forwarded record that waited is accepted after its id has been forgotten.",
    ),
    Mutant(
        "the worker's clock decides what is too late",
        STEP,
        "event.at < append_ms * MS_NS - self._lane.max_age_ns",
        "event.at < self._now_ms * MS_NS - self._lane.max_age_ns",
        "A backlog is rejected because the worker was down.",
    ),
    Mutant(
        "stream time decides what is too late",
        STEP,
        "event.at < append_ms * MS_NS - self._lane.max_age_ns",
        "event.at < self._stream_time_ms * MS_NS - self._lane.max_age_ns",
        "A backlog is rejected because a forwarded record has moved stream time ahead of it.",
    ),
    Mutant(
        "small segments without end",
        STATE,
        " and len(held.small) < SMALL_SEGMENTS_MAX:",
        ":",
        "Each transaction goes through all those of the day, and memory holds every id twice.",
    ),
    Mutant(
        "new usage waits for all cures",
        TASK,
        "        raw, rekeyed, accounts = [queue[:most] for queue in self._queues.values()]\n",
        "        raw, rekeyed, accounts = [[] if cures else queue[:most] for queue in self._queues.values()]\n",
        "At each publication a partition stands still until all that is parked has been looked at.",
    ),
    Mutant(
        "misrouted records are taken as they come",
        STEP,
        "        if target == self._lane.partition:\n            admitted",
        "        if True:\n            admitted",
        "Two partitions price one organization, and neither knows the other's ids.",
    ),
]

MONEY = [
    Mutant(
        "not billable events are due",
        TOTALS,
        "        dues = nets if billable else [ZERO] * len(nets)\n",
        "        dues = nets\n",
        "Totals bill what the events do not.",
    ),
    Mutant(
        "late events count now",
        TOTALS,
        "        at = priced.event.at\n",
        "        at = max(priced.event.at, 1_795_305_600_000_000_000 - 3_600_000_000_000)\n",
        "A late event changes another window than its own.",
    ),
    Mutant(
        "revision stays",
        TOTALS,
        "self.revision + 1",
        "self.revision",
        "Readers cannot tell a newer total from an older one.",
    ),
    Mutant(
        "totals start over after a restart",
        STATE,
        "        if total is None and (value := self.totals.get(key)) is not None:\n",
        "        if total is None and (value := None) is not None:\n",
        "A total begins at 0 again where another worker goes on with it.",
    ),
    Mutant(
        "a lower version of an account is left with the last word",
        STEP,
        "            self._put(record.topic, self._lane.partition, (key, account_bytes(again), [], self._now_ms))",
        "            pass",
        "Compaction keeps it, and a new installation prices by it.",
    ),
    Mutant(
        "a tombstone of an account is left with the last word",
        ACCOUNT_RECORDS,
        "None if _is_object(value) else named",
        "None",
        "Compaction keeps it, and a new installation knows nothing of the account.",
    ),
    Mutant(
        "every bad account is answered",
        ACCOUNT_RECORDS,
        "None if _is_object(value) else named",
        "named",
        "Workers of two versions, of which one knows more fields, answer each other for ever.",
    ),
    Mutant(
        "an emptied marker is waited at",
        RECORDS,
        "        return _Marker(batch) if batch.is_control_batch else _Batch(batch, data)\n",
        "        return batch if batch.is_control_batch else _Batch(batch, data)\n",
        "Compaction leaves such markers, and aiokafka's consumer would not get past one.",
    ),
    Mutant(
        "the older generation of totals is asked first",
        STATE,
        "self._hot.get(key) or self._warm.get(key)",
        "self._warm.get(key) or self._hot.get(key)",
        "A total forgets what was added since the generation before.",
    ),
    Mutant(
        "a dropped total stays at hand",
        STATE,
        "        self._warm.pop(key, None)\n",
        "        pass\n",
        "A total that is gone is added to.",
    ),
    Mutant(
        "hours are dropped under parked events",
        EXPIRY,
        '        if tuple(key.split("/", 4)[:4]) not in held\n',
        "",
        "A cure starts an hour's total at 0 again.",
    ),
    Mutant(
        "hours are dropped a day too early",
        EXPIRY,
        '"hour": 62',
        '"hour": 61',
        "A total is gone before its time.",
    ),
    Mutant(
        "rounded per event",
        AMOUNTS,
        "        list_sum += list_amount\n",
        "        list_sum += Decimal(f'{list_amount:.6f}')\n",
        "Something is rounded before a statement.",
    ),
    Mutant(
        "quantities go through a float",
        AMOUNTS,
        "        list_amount = list_price * quantity\n",
        "        list_amount = list_price * Decimal(float(quantity))\n",
        "Quantities over 2**53 and most fractions are other ones.",
    ),
    Mutant(
        "the discounted price is rounded",
        TERMS,
        "rate.list, rate.list * factor, start",
        "rate.list, Decimal(f'{rate.list * factor:.9f}'), start",
        "The discount is taken off a rounded price.",
    ),
    Mutant(
        "a sheet counts after its first instant",
        BOOK,
        "if sheet.effective_from <= at}",
        "if sheet.effective_from < at}",
        "Usage at the very start of a version is priced by the one before.",
    ),
    Mutant(
        "of equals the first published",
        BOOK,
        "by_from = sorted(self.sheets,",
        "by_from = sorted(self.sheets[::-1],",
        "A correction of a version does not count.",
    ),
    Mutant(
        "sheets and rates of today",
        PIPELINE,
        "book.segment_at(event.at)",
        "book.segment_at(2**62)",
        "The sheet and the exchange rate in force now price usage of the past.",
    ),
    Mutant(
        "tier of today",
        PIPELINE,
        "tier_at(account, event.at)",
        "tier_at(account, 2**62)",
        "The tier in force now discounts usage of the past.",
    ),
    Mutant(
        "rates are inverted",
        TERMS,
        'segment.fx.get(f"{currency}/{report}")',
        'segment.fx.get(f"{report}/{currency}") or segment.fx.get(f"{currency}/{report}")',
        "The rate of the way back is taken.",
    ),
    Mutant(
        "a missing rate is zero",
        AMOUNTS,
        '                    raise Missing(Unpriced.NO_RATE, f"{currency}/{report}")\n',
        "                    continue\n",
        "An amount that cannot be converted is converted to 0.",
    ),
]

COSTS = [
    Mutant(
        "discounted cost",
        COST,
        "{name: rates[name].list * used for",
        "{name: rates[name].list * priced.terms.factor * used for",
        "An organization's discount lowers what its usage costs.",
    ),
    Mutant(
        "a missing cost parks",
        PIPELINE,
        "        return NoCost(missing.reason, missing.detail)",
        "        raise",
        "An event waits for its price because its cost is not known.",
    ),
    Mutant(
        "cost of the default sheet alone",
        BOOK,
        'default = self.cost_sheets.get("*")',
        "default = None",
        "Providers that are not named have no cost where `*` has one.",
    ),
    Mutant(
        "margin of what is not billed",
        AMOUNTS,
        "{currency: net if is_billable else ZERO for currency, _, net in sums}",
        "{currency: net for currency, _, net in sums}",
        "An event that is not billed has the margin of one that is.",
    ),
    Mutant(
        "margin in currencies of the price",
        COST,
        "for currency in {**dues, **costs}",
        "for currency in dues",
        "A cost in another currency than the price's is in no margin.",
    ),
    Mutant(
        "cost that cannot be converted",
        COST,
        "    if not amount:  # an amount of 0 needs no rate",
        "    if not amount or terms.conversions[currency][index].rate is None:",
        "A cost without an exchange rate is converted to 0.",
    ),
    Mutant(
        "bands of the cost sheet",
        COST,
        "min(left, in_lines.get(line, 0), at_rates.get(name, 0))",
        "min(left, in_lines.get(line, 0))",
        "A line costs as if all of it were in the first band.",
    ),
    Mutant(
        "rates of the cost twice",
        AMOUNTS,
        "[fx for fx in found if fx and fx not in used]",
        "[fx for fx in found if fx]",
        "The rate of a currency that price and cost share is listed twice.",
    ),
    Mutant(
        "events without a cost",
        TOTALS,
        'return sums_of({**found, "events_without_cost": len(self.used)})',
        'return sums_of({**found, "events_without_cost": 0})',
        "A total says that all of its events have a cost.",
    ),
    Mutant(
        "totals always with costs",
        TOTAL_CODEC,
        "absent = () if OF_COSTS[0] in paths else OF_COSTS",
        "absent = OF_COSTS[:1]",
        "Totals change where no cost sheet is set.",
    ),
    Mutant(
        "billed over is under",
        RECONCILING,
        "OVER if difference > 0 else UNDER",
        "UNDER if difference > 0 else OVER",
        "A provider that bills too much seems to bill too little.",
    ),
]

RESPONSES = [
    Mutant(
        "the tier that was asked for",
        SELECTION,
        '    if served is None or (served == "standard" and data.service_tier == "batch"):',
        "    if data.service_tier is not UNSET:",
        "A request that was served at the standard tier costs what priority would have.",
    ),
    Mutant(
        "the event's region first",
        SELECTION,
        "data.response.region or region",
        "region or data.response.region",
        "Inference that stayed in a country is priced by where the gateway stands.",
    ),
    Mutant(
        "nothing is folded",
        SELECTION,
        "folded(used.tokens, rates.by_name)",
        "dict(used.tokens)",
        "Responses with reasoning tokens are parked for ever.",
    ),
    Mutant(
        "no bands",
        SELECTION,
        "            if left > above:\n",
        "            if left < above:\n",
        "All tokens cost what the first ones do.",
    ),
    Mutant(
        "a request of units",
        SELECTION,
        "quantities if kind is UnitsUsage else split(terms.rates, quantities)",
        "split(terms.rates, quantities)",
        "Units pay for a request that nobody counted.",
    ),
    Mutant(
        "terms without an end",
        SELECTION,
        "    if len(segment.terms) >= TERMS_MAX:",
        "    if not TERMS_MAX:",
        "Hostile names fill the memory.",
    ),
    Mutant(
        "terms of any priority",
        SELECTION,
        '_known_priority(sheet, data) if model.category == "synapse" else ""',
        '""',
        "The first event's priority prices all that come after it.",
    ),
    Mutant(
        "the first event's words",
        CODEC,
        "key = (data.model, data.priority)",
        "key = None",
        "All events under one price are written with the name and the priority of the first.",
    ),
    Mutant(
        "another model's tokens",
        CHECKS,
        "    if used.others:",
        "    if not used:",
        "Tokens that another model took in the same response are billed to nobody.",
    ),
    Mutant(
        "numbers as floats",
        READING,
        "msgspec.json.Decoder(type=reduce(or_, _ENVELOPES), float_hook=NumberText)",
        "msgspec.json.Decoder(type=reduce(or_, _ENVELOPES))",
        "Responses that differ in the last digit of a number are taken for one.",
    ),
    Mutant(
        "any depth",
        READING,
        'value.count(b"{") + value.count(b"[") > DEPTH_MAX',
        'value.count(b"{") + value.count(b"[") > 1_000',
        "A body nested over 32 levels is priced, or rejected, by how it is spelled.",
    ),
]

PARKED = [
    Mutant(
        "no release",
        STEP,
        "        self._releases.append(letters.released(parked, arrival, self._now_ms))\n",
        "",
        "Nobody sees that a parked event has been priced.",
    ),
    Mutant(
        "released and still parked",
        STEP,
        "        self._changes.released.append(parked.offset)\n",
        "",
        "A parked event is priced with each publication.",
    ),
    Mutant(
        "publications do not wake",
        TASK,
        "        self._published |= names\n",
        "",
        "Parked events wait for a restart.",
    ),
    Mutant(
        "parked events are not looked at on start",
        TASK,
        "        self._cures = sorted(state.parked)\n",
        "",
        "What was published while no worker ran cures nothing.",
    ),
    Mutant(
        "a cure does not wait for the marker",
        RESTORING,
        "ends[part] if until is None else until for",
        "ends[part] if until is None else min(until, ends[part]) for",
        "A publication right after an event was parked does not cure it.",
    ),
    Mutant(
        "a new reason is not remembered",
        STEP,
        "            if still != parked:\n",
        "            if False:\n",
        "An event whose reason has changed waits for the wrong publication.",
    ),
    Mutant(
        "accounts do not cure",
        TASK,
        '        self._published.update(f"account/{organization}" for organization in result.changes.accounts)\n',
        "",
        "An event that waits for an account waits for ever.",
    ),
]

INPUT = [
    Mutant(
        "duplicate keys",
        DOCUMENTS,
        "        if len(self) < len(pairs):\n",
        "        if False:\n",
        "The last of two values counts, or the first: who knows.",
    ),
    Mutant(
        "depth is not checked",
        DOCUMENTS,
        "isinstance(value, dict | list) and len(path) >= DEPTH_MAX:\n",
        "False:\n",
        "What one reader accepts breaks another.",
    ),
    Mutant(
        "size is not checked",
        READING,
        "    if len(value) > VALUE_BYTES_MAX:\n",
        "    if False:\n",
        "Hostile records cost as much as they like.",
    ),
    Mutant(
        "the future is accepted",
        STEP,
        "            if event.at > append_ms * MS_NS + FUTURE_NS:\n",
        "            if False:\n",
        "An event can be dated where no price is yet known.",
    ),
    Mutant(
        "a header name must be UTF-8",
        RECORDS,
        "        except UnicodeDecodeError:\n",
        "        except KeyError:\n",
        "One record with another name stops its partition for ever.",
    ),
]

# Where each kind is likely to be caught: those tests run first.
LIKELY = {
    "tests/simulation/test_rules.py": RULES,
    "tests/simulation/test_crash_table.py": [*RULES, *DEDUP],
    "tests/simulation/test_cures.py": PARKED,
    "tests/simulation/test_memory.py": DEDUP,
    "tests/unit/test_pricing.py": MONEY,
    "tests/unit/test_costs.py": COSTS,
    "tests/unit/test_responses.py": RESPONSES,
    "tests/unit/test_events.py": INPUT,
}
ALL = [*RULES, *DEDUP, *MONEY, *COSTS, *RESPONSES, *PARKED, *INPUT]
