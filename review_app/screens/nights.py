import streamlit as st
st.title("nights")
