/** Loaded into the Node that bin/node-runtime.mjs starts: when the launcher dies, its end of the channel closes. */
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
process.channel?.unref();
