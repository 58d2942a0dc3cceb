-- Runs the turn where the files before this one were sent as a script.
return L.turn(KEYS, ARGV)
