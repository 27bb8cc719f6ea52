read x y coin_x coin_y
if [ $x -lt $coin_x ]; then echo right
elif [ $x -gt $coin_x ]; then echo left
elif [ $y -lt $coin_y ]; then echo down
else echo up
fi
