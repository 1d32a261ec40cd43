"""graphc.passes"""
