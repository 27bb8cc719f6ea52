#!/bin/sh
echo "<h1>$1</h1>"
while read -r word; do echo "<p>$word</p>"; done
