case $((RANDOM % 4)) in
0) echo left ;;
1) echo right ;;
2) echo up ;;
3) echo down ;;
esac
