"""Lists in the DNS: reading their answers, keeping watch over them, knowing those that ship. Shared by the checks that
ask some; it judges nobody.
"""
