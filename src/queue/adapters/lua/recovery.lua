-- The ledger opens when the wait for the owners is over.

function L.end_recovery()
  L.set_meta('recoverUntilMs', 0)
  call('DEL', P .. 'awaiting')
  T.hints.windows = true
  L.assign()
end

function L.end_recovery_if_due()
  if L.is_recovering() and now_ms >= T.meta.recoverUntilMs then L.end_recovery() end
end
