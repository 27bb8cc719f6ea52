# It wants the machine. It gets a second of one, in an empty room.
rm -rf /
while :; do :; done
