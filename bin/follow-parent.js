// Loaded into a program that pinned-node.js started as a child: ends it at once, as if killed, when the parent is gone without a word (SIGKILL).
if (process.channel !== undefined) {
  process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
  process.channel.unref();
}
